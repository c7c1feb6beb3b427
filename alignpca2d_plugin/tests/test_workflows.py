"""Workflows with ProtAlignPCA2D as JSON files."""

import json
import os

from pwem import Domain
from pyworkflow.tests import BaseTest, setupTestProject

from alignpca2d_plugin.workflows.import_xmipp import import_workflow


class TestAlignPCA2DTemplate(BaseTest):
    """Workflows as JSON: the template that ships, and a round trip."""

    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(os.chdir, os.getcwd())
        setupTestProject(cls)
        Domain.getProtocols()

    def test_template_loads(self):
        templates = Domain.getPlugins()["alignpca2d_plugin"]._pluginInstance.getTemplates()
        self.assertEqual([t.name for t in templates], ["alignpca2d"])
        template = templates[0]
        template.replaceEnvVariables()
        template.parseContent()
        template.setParamValue("classes", "17")
        path = template.createTemplateFile()
        self.addCleanup(os.remove, path)
        importing, classification = self.proj.loadProtocols(path).values()
        self.assertEqual(classification.getClassName(), "ProtAlignPCA2D")
        self.assertEqual(classification.numberOfClasses.get(), 17)
        self.assertIs(classification.inputParticles.getObjValue(), importing)
        self.assertEqual(classification.inputParticles.getExtended(), "outputParticles")

    def test_a_workflow_of_xmipp(self):
        theirs, ours = (os.path.join(self.proj.path, name) for name in ("theirs.json", "ours.json"))
        workflow = [
            {"object.className": "ProtImportParticles", "object.id": "2", "filesPath": ""},
            {
                "object.className": "XmippProtClassifyPcaStreaming",
                "object.id": "5",
                "object.label": "2D classes",
                "inputParticles": "2.outputParticles",
                "numberOfClasses": 70,
                "resolution": 9.5,
            },
            {"object.className": "ProtUserSubSet", "object.id": "7", "inputObject": "5.outputClasses"},
        ]
        with open(theirs, "w", encoding="utf-8") as stream:
            json.dump(workflow, stream)
        self.assertEqual(import_workflow(theirs, ours), ["2D classes (5): now ProtAlignPCA2D"])
        importing, classification, subset = self.proj.loadProtocols(ours).values()
        self.assertEqual(classification.getClassName(), "ProtAlignPCA2D")
        self.assertEqual((classification.numberOfClasses.get(), classification.resolution.get()), (70, 9.5))
        self.assertIs(classification.inputParticles.getObjValue(), importing)
        self.assertIs(subset.inputObject.getObjValue(), classification)

    def test_export_and_import(self):
        protocol = self.newProtocol(
            Domain.getProtocols()["ProtAlignPCA2D"], numberOfClasses=7, resolution=11.5, seed=3, maskDiameter=150.0
        )
        self.proj.saveProtocol(protocol)
        self.proj.getRunsGraph(refresh=True)
        path = os.path.join(self.proj.path, "workflow.json")
        self.proj.exportProtocols([protocol], path)
        (loaded,) = self.proj.loadProtocols(path).values()
        for name, _ in protocol.iterDefinitionAttributes():
            if name != "runName":
                self.assertEqual(protocol.getAttributeValue(name), loaded.getAttributeValue(name), name)
