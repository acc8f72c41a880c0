/* The master equation at one trial point: see equation.c. */

#ifndef SPECTRA_EQUATION_H
#define SPECTRA_EQUATION_H

#include <math.h>

#include "cut.h"
#include "sums.h"

#define PI 3.14159265358979323846

/* One factor: a law of multiplicity `count`, seen through w_k = ratio·w, with `gap` = 1 − `omega`; `pole`: where
   its ψ is not smooth; `end`: of the intervals with a density; `cut`: its density, roughly, or NULL. */
typedef struct {
    const Table *table;
    double count, omega, gap, largest, smallest;
    int narrow, continuous;
    ptrdiff_t poles, ends;
    const double *pole, *end;
    Cut *cut;
} Factor;

/* Whether real v lies where the law may have a density. */
static inline int on_cut(const Factor *factor, double v)
{
    if (!(v * factor->largest > 1.0 && v * factor->smallest < 1.0))
        return 0;
    for (ptrdiff_t k = 0; k + 1 < factor->ends; k += 2)
        if (v * factor->end[k + 1] > 1.0 && v * factor->end[k] < 1.0)
            return 1;
    /* Without intervals, of atoms. */
    return factor->ends == 0;
}

/* `constant` includes log rank; terms e_i log(1 − d_i ζ). */
typedef struct {
    double constant;
    ptrdiff_t terms, factors;
    const double *d, *e;
    const Factor *factor;
} Equation;

/* |z|, without the care for overflow where none is needed. */
static inline double modulus(double complex z)
{
    double square = creal(z) * creal(z) + cimag(z) * cimag(z);
    return square > 1e-280 && square < 1e280 ? sqrt(square) : cabs(z);
}

/* As `spectra.master.Point`, of one point; rows are the K factors'. */
typedef struct {
    double complex log_u, slope, bend;
    double complex *rates, *curls, *mismatch, *pull, *steepness;
} Values;

static inline Values values_in(double complex *rows, ptrdiff_t factors)
{
    return (Values){.rates = rows,
                    .curls = rows + factors,
                    .mismatch = rows + 2 * factors,
                    .pull = rows + 3 * factors,
                    .steepness = rows + 4 * factors};
}

/* What became of an evaluation: done; Im ψ needs the law's own density at v; or a case for the general code. */
enum { DONE = 0, JUMP = 1, GENERAL = 2 };

/* `jumps` (K): densities where they are known, else NaN, or NULL; `rough`: see `LawStack.evaluate`; `curvature`: bends too. */
int evaluate(const Equation *equation, double complex zeta, const double complex *v, const double *jumps, int rough,
             int curvature, Values *out);

/* Largest relative residual, as `spectra.solve.measure`. */
double residual(const Equation *equation, double complex zeta, const double complex *v, double complex target,
                const Values *at);

/* Increments of Newton's method, as `MasterEquation.newton_step`. */
void newton_step(const Equation *equation, const Values *at, double complex target, double complex *dzeta, double complex *dv);

/* The same to second order, whose error is a cube, from an evaluation with `curvature`. */
void cubic_step(const Equation *equation, double complex zeta, const double complex *v, const Values *at,
                double complex target, double complex *dzeta, double complex *dv);

#endif
