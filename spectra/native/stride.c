/* Plain steps along a gap, as `GapWalker._gap` makes them, between ζ = 0 and 1, for as long as nothing else is ahead.

   Where an edge, an atom, a cut or the pole at ζ = 1 may be near, and where a step fails, the stride ends before that step
   and Python decides. */

#include "march.h"

#include <math.h>
#include <string.h>

/* As in `spectra.gap`: of the way to ζ = 1, the shortest step, where it may be one in ζ, how near to 1 an atom is looked
   for, and the longest.  And how near, relative, to 1/d_k, where v_k may be infinite. */
#define TOWARDS 0.8
#define SHORT 1e-3
#define FROM 0.05
#define BESIDE 1e-4
#define INFINITE 1e-2
#define LONGEST 2.0

/* Whether ζ itself, not its logarithm, is the coordinate: it passes 0 where no v_k does. */
static int is_linear(const Equation *equation, double zeta, const double complex *v)
{
    int far = equation->factors > 0 && zeta < FROM;
    for (ptrdiff_t k = 0; k < equation->factors; k++)
        far = far && modulus(v[k]) > 10.0 * equation->factor[k].omega * zeta;
    return far;
}

/* Whether ζ is near an atom, or where some v_k may be infinite. */
static int is_eventful(const Equation *equation, double zeta)
{
    int near = !(1.0 - zeta >= BESIDE);
    for (ptrdiff_t k = 0; k < equation->factors; k++)
        near = near || 1.0 - equation->factor[k].gap * zeta < INFINITE;
    return near;
}

/* Whether v_k goes on from a to b, real, off its cut, and over no place where its ψ is not smooth. */
static int goes_on(const Factor *factor, double a, double complex b)
{
    double x = creal(b);
    /* Written so that NaN does not. */
    if (!(x >= a - 1e-12 * fabs(a) && fabs(cimag(b)) <= 1e-9 * modulus(b)) || (factor->continuous && on_cut(factor, x)))
        return 0;
    for (ptrdiff_t i = 0; i < factor->poles; i++)
        if (a < factor->pole[i] && factor->pole[i] < x)
            return 0;
    return 1;
}

ptrdiff_t stride(const Equation *equation, double *length, double *at_zeta, double complex *v, Values *at, Values other,
                 ptrdiff_t most)
{
    ptrdiff_t made = 0;
    double complex next[MOST_FACTORS];
    double zeta = *at_zeta;
    if (evaluate(equation, zeta, v, NULL, 1, 1, at) != DONE)
        return -1;
    while (made < most && zeta > 0.0 && !is_eventful(equation, zeta) && !is_linear(equation, zeta, v)) {
        double first = creal(at->slope * zeta), second = creal(at->bend * zeta * zeta) + first;
        double step = fmin(*length, log1p(TOWARDS * (1.0 - zeta) / zeta));
        if (second < 0.0)
            step = fmin(step, -1.5 * first / second);
        double new = zeta * exp(step), far = new - zeta;
        if (!(first > 0.0 && step >= SHORT))
            break;
        for (ptrdiff_t k = 0; k < equation->factors; k++)
            next[k] = v[k] + at->rates[k] * far + 0.5 * at->curls[k] * far * far;
        int plain = project(equation, new, next) == DONE;
        for (ptrdiff_t k = 0; plain && k < equation->factors; k++) {
            plain = goes_on(&equation->factor[k], creal(v[k]), next[k]);
            next[k] = creal(next[k]);
        }
        if (!plain || evaluate(equation, new, next, NULL, 1, 1, &other) != DONE)
            break;
        /* In a gap u grows with ζ. */
        if (!(creal(other.log_u) >= creal(at->log_u) && creal(other.slope) > 0.0) || !isfinite(modulus(other.bend)))
            break;
        Values old = *at;
        *at = other, other = old;
        memcpy(v, next, equation->factors * sizeof(double complex));
        zeta = new, *length = fmin(2.0 * step, LONGEST);
        made++;
    }
    *at_zeta = zeta;
    return made;
}
