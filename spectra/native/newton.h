/* Newton's method for the master equation: see newton.c. */

#ifndef SPECTRA_NEWTON_H
#define SPECTRA_NEWTON_H

#include "equation.h"

/* Factors whose values at one point stand on the stack. */
#define MOST_FACTORS 512
/* A state beyond those of an evaluation: Newton's method went astray. */
#define STRAYED 3
/* And: steps led to where the density of a law is needed to go on. */
#define CLOSE 4

/* One step, from ζ and v to `new_zeta` and `new_v`, and the residual `size` where it starts. */
int improve(const Equation *equation, double complex zeta, const double complex *v, const double *jumps, int rough,
            double complex target, double *size, double complex *new_zeta, double complex *new_v);

/* When to stop: `max_steps` at most, `rough_steps` before them; with one last step at residuals below `polished`, and at
   those below `certified` that fall no longer, if that step turns no imaginary part by more than `tilted` of it, else
   after `patience` more, or at residuals up to `floor`. */
typedef struct {
    int max_steps, rough_steps, patience;
    double floor, certified, polished, near, tilted;
} Limits;

/* The root from ζ and v, in place, and its residual: what `spectra.solve.solve` does.  `known` (K): densities of the laws
   at v, NaN where there is none, which do for the iterates nearby as well; or NULL.  Where the state is CLOSE ζ and v are
   where steps led, and where it is neither that nor DONE they are left as they were. */
int solve(const Equation *equation, double complex target, const Limits *limits, const double *known,
          double complex *zeta, double complex *v, double *residual);

/* v with ψ_k(v_k) as ζ demands, from a nearby v, in place; as `Walker._project`. */
int project(const Equation *equation, double complex zeta, double complex *v);

/* Where d log u/dζ = 0, from a nearby ζ and v, in place; as `Walker._critical_point`. */
int critical(const Equation *equation, int logarithmic, double complex *zeta, double complex *v);

/* From a good start towards `target`, as `PointEvaluator._follow`: STRAYED where it goes elsewhere, and `at` as evaluated last.

   `size`: its residual; `zeta` and `v` are moved along. */
int follow(const Equation *equation, double target, double tolerance, double certified, double complex *zeta,
           double complex *v, Values *at, double *size);

#endif
