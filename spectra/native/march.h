/* Plain steps of the sweep: see march.c. */

#ifndef SPECTRA_MARCH_H
#define SPECTRA_MARCH_H

#include "newton.h"

/* What `BulkWalker` goes by: the residual that is good enough, log densities at which an arc may have faded and at which
   it may be lost, |v| at which it ends, and below which log density imaginary parts are small; how near an atom and a
   critical point are looked for, how far down one step of Newton's method leads to that, and how far from the axis,
   relative, it is no edge; and the residual of a certified root. */
typedef struct {
    double rough, thin, lost, largest, sparse, beside_pole, ahead, least, down, flat, certified;
} Pace;

/* Where the march stands: log u, ζ, v (K), the equation there with its residual, the last step, and d log(density in
   log λ)/d log u at the point before. */
typedef struct {
    double log_u, step, fading, size;
    double complex zeta, *v;
    Values at;
} Standing;

/* March until something else may be ahead, or for `room` steps; rows of `out` (3K + 4) are log u, then ζ and v, the first
   and the second derivatives of their logarithms in log u, at the points left behind.  `resolved` (K): the nodes know
   the laws down to there; `other` is room for values.  Returns the number of rows, or −1 where the equation was not evaluated at the first point. */
ptrdiff_t march(const Equation *equation, const Pace *pace, const double *resolved, Standing *here, Values other,
                double complex *out, ptrdiff_t room);

/* Step along a gap from ζ = `zeta` in (0, 1) and real v (K), steps of `length` in log ζ or less, `most` of them; all are
   moved along, and `at` is as evaluated there.  `other` is room for values.  Returns the number of steps, or −1 where the
   equation was not evaluated at the first point. */
ptrdiff_t stride(const Equation *equation, double *length, double *zeta, double complex *v, Values *at, Values other,
                 ptrdiff_t most);

#endif
