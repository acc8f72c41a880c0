/* The density of a law on its cut, to some six digits: see cut.c. */

#ifndef SPECTRA_CUT_H
#define SPECTRA_CUT_H

#include <stddef.h>

/* Rows log t, the logarithm of a part of R and its slope in log t, of `size` points each. */
typedef struct {
    ptrdiff_t size;
    double *rows;
} Part;

typedef struct {
    ptrdiff_t parts;
    Part *part;
} Cut;

/* Parts to be filled; NULL where there is no memory. */
Cut *make_cut(ptrdiff_t parts);

/* Room for `size` points in a part; NULL where there is none. */
double *make_part(Part *part, ptrdiff_t size);

void free_cut(Cut *cut);

/* R at v, as `SlopeDensity.near`; NaN where the tables do not say. */
double rough_density(const Cut *cut, double v);

#endif
