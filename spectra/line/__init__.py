"""Laws on the real line, known through their Stieltjes transforms: ⊞ and ⊠ of them, found on the real axis itself.

A law is a curve (z, G(z)) over a few unknowns (`trace`); sums and products join the curves of their parts by equations;
`newton` solves these, `bulks` finds where the law lives, `density` charts it there.
"""
