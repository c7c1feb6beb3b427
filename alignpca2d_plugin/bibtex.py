"""
@article{RamirezAportela2026,
author = "Ramírez-Aportela, E. and Zarrabeitia, O. L. and Fonseca, Y. C. and Ceska, T. and Subramaniam, S. and Carazo, J. M. and Sorzano, C. O. S.",
title = "AlignPCA-2D: PCA-reduced Euclidean vector alignment for 2D classification in cryo-EM",
journal = "Acta Crystallographica Section D",
volume = "82",
year = "2026",
url = "https://journals.iucr.org/d/issues/2026/07/00/vo5022/index.html",
note = "Preprint: https://doi.org/10.64898/2026.02.11.705027"
}
"""
