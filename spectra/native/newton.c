/* Newton's method for the master equation at one point, step for step as in `spectra.solve`. */

#include "newton.h"

#include <math.h>
#include <string.h>

/* `new`, its imaginary part cut to a fifth of the old one where it would leave the upper half plane. */
static double complex kept_above(double complex old, double complex new)
{
    return cimag(new) <= 0.0 && cimag(old) > 0.0 ? CMPLX(creal(new), 0.2 * cimag(old)) : new;
}

/* Residuals from which steps to second order lead closer than those of Newton's method. */
#define CLOSING 1e-2

int improve(const Equation *equation, double complex zeta, const double complex *v, const double *jumps, int rough,
            double complex target, double *size, double complex *new_zeta, double complex *new_v)
{
    double complex rows[5 * MOST_FACTORS], dzeta;
    ptrdiff_t factors = equation->factors;
    Values at = values_in(rows, factors);
    int state = evaluate(equation, zeta, v, jumps, rough, rough, &at);
    if (state != DONE)
        return state;
    *size = residual(equation, zeta, v, target, &at);
    if (rough && *size < CLOSING)
        cubic_step(equation, zeta, v, &at, target, &dzeta, new_v);
    else
        newton_step(equation, &at, target, &dzeta, new_v);
    double ratio = modulus(dzeta) / modulus(zeta);
    for (ptrdiff_t k = 0; k < factors; k++) {
        double other = modulus(new_v[k]) / modulus(v[k]);
        /* Written so that NaN is kept. */
        if (!(other <= ratio))
            ratio = other;
    }
    /* No farther than half of the way to 0. */
    double scale = 2.0 * ratio <= 1.0 ? 1.0 : 1.0 / (2.0 * ratio);
    *new_zeta = kept_above(zeta, zeta + scale * dzeta);
    for (ptrdiff_t k = 0; k < factors; k++)
        new_v[k] = kept_above(v[k], v[k] + scale * new_v[k]);
    return DONE;
}

static int is_finite(double complex zeta, const double complex *v, ptrdiff_t factors)
{
    int finite = isfinite(creal(zeta)) && isfinite(cimag(zeta));
    for (ptrdiff_t k = 0; k < factors; k++)
        finite = finite && isfinite(creal(v[k])) && isfinite(cimag(v[k]));
    return finite;
}

/* The largest relative change of an imaginary part: of what a residual, relative to all of a number, sees nothing of. */
static double tilt(const Equation *equation, double complex zeta, const double complex *v, double complex new_zeta,
                   const double complex *new_v)
{
    double most = fabs(cimag(new_zeta) - cimag(zeta)) / cimag(zeta);
    for (ptrdiff_t k = 0; k < equation->factors; k++)
        most = fmax(most, fabs(cimag(new_v[k]) - cimag(v[k])) / cimag(v[k]));
    return most;
}

/* A density that is known at one place changes from there to another by the ratio of its rough values: by so little at
   most that what they lack, a thousandth of a change or less, does not count. */
#define NEARBY 1e-8

/* Densities `known` where the rough ones are `base`, carried on to v; 0 where that is too far. */
static int carry(const Equation *equation, const double *known, const double *base, const double complex *v,
                 double *jumps)
{
    for (ptrdiff_t k = 0; k < equation->factors; k++) {
        jumps[k] = known[k];
        if (isnan(known[k]))
            continue;
        const Factor *factor = &equation->factor[k];
        double ratio = factor->cut == NULL ? NAN : rough_density(factor->cut, creal(v[k])) / base[k];
        /* Written so that NaN is too far, too. */
        if (!(fabs(ratio - 1.0) < NEARBY))
            return 0;
        jumps[k] *= ratio;
    }
    return 1;
}

int solve(const Equation *equation, double complex target, const Limits *limits, const double *known,
          double complex *zeta, double complex *v, double *residual)
{
    double complex here_v[MOST_FACTORS], next_v[MOST_FACTORS], best_v[MOST_FACTORS];
    double base[MOST_FACTORS], jumps[MOST_FACTORS];
    double complex here = *zeta, next, best_zeta;
    size_t bytes = equation->factors * sizeof(double complex);
    double size, best = INFINITY, previous = INFINITY;
    int late = 0;
    memcpy(here_v, v, bytes);
    for (int step = 0; step < limits->rough_steps; step++) {
        int state = improve(equation, here, here_v, NULL, 1, target, &size, &next, next_v);
        if (state != DONE)
            return state;
        here = next;
        memcpy(here_v, next_v, bytes);
        if (!(size > limits->near))
            break;
    }
    if (!is_finite(here, here_v, equation->factors)) {
        here = *zeta;
        memcpy(here_v, v, bytes);
    }
    best_zeta = here;
    memcpy(best_v, here_v, bytes);
    for (ptrdiff_t k = 0; known != NULL && k < equation->factors; k++) {
        const Factor *factor = &equation->factor[k];
        base[k] = isnan(known[k]) || factor->cut == NULL ? NAN : rough_density(factor->cut, creal(here_v[k]));
        jumps[k] = known[k];
    }
    for (int step = 0; step < limits->max_steps; step++) {
        int far = known != NULL && step > 0 && !carry(equation, known, base, here_v, jumps);
        int state = far ? JUMP : improve(equation, here, here_v, known ? jumps : NULL, 0, target, &size, &next, next_v);
        if (state == JUMP && (limits->rough_steps > 0 || known != NULL)) {
            *zeta = here;
            memcpy(v, here_v, bytes);
            return CLOSE;
        }
        if (state != DONE)
            return state;
        if (size < best) {
            best = size, best_zeta = here;
            memcpy(best_v, here_v, bytes);
        }
        if (!isfinite(size))
            break;
        /* Far below the certificate, or below it and no longer falling: rounding is all that is left of the residual. */
        int stalled = size > (size < 0.1 * limits->certified ? 0.3 : 1.0) * previous;
        int arrived = size < limits->polished || (size < limits->certified && stalled);
        double turned = arrived || step == 0 ? tilt(equation, here, here_v, next, next_v) : 0.0;
        if (arrived) {
            if (turned < limits->tilted) {
                best = size, best_zeta = next;
                memcpy(best_v, next_v, bytes);
                break;
            }
            if (++late > limits->patience)
                break;
        }
        /* A start may be rough in its imaginary parts, however small the residual.  Else the floor is that of log u: a
           step from there still mends an imaginary part that is a small part of it, and what turns one by more is
           rounding. */
        if (step == 0 && !(turned < limits->tilted))
            best = INFINITY;
        else if (!(size > limits->floor))
            break;
        here = next;
        memcpy(here_v, next_v, bytes);
        previous = size;
    }
    *zeta = best_zeta, *residual = best;
    memcpy(v, best_v, bytes);
    return DONE;
}

/* A value that lies below the real axis by rounding alone, put just above it. */
static double complex lifted(double complex z)
{
    if (cimag(z) > 0.0 || cimag(z) <= -1e-11 * modulus(z))
        return z;
    return CMPLX(creal(z), 1e-16 * modulus(z));
}

int follow(const Equation *equation, double target, double tolerance, double certified, double complex *zeta,
           double complex *v, Values *at, double *size)
{
    double complex start = *zeta, dzeta, dv[MOST_FACTORS];
    double last = INFINITY;
    for (int step = 0; step < 12; step++) {
        int state = evaluate(equation, *zeta, v, NULL, 1, 1, at);
        if (state != DONE)
            return state;
        *size = residual(equation, *zeta, v, target, at);
        if (*size <= tolerance || (*size < certified && *size > 0.3 * last))
            return DONE;
        if (!(*size < fmax(10.0 * last, 1.0)) || at->slope == 0.0)
            return STRAYED;
        newton_step(equation, at, target, &dzeta, dv);
        *zeta = lifted(*zeta + dzeta);
        int above = cimag(*zeta) > 0.0;
        for (ptrdiff_t k = 0; k < equation->factors; k++) {
            v[k] = lifted(v[k] + dv[k]);
            above = above && cimag(v[k]) > 0.0;
        }
        last = *size;
        /* NaN strays, too. */
        if (!(modulus(*zeta - start) < 0.3 * modulus(start) && above))
            return STRAYED;
    }
    return STRAYED;
}

/* Moves by less than this part of the distance to a cut may be rounding. */
#define NEARER 1e-3

/* By what part of its distance to an end of the law's cut, where ψ is not smooth, v moves. */
static double of_distance(const Factor *factor, double complex v, double moved)
{
    if (!factor->continuous)
        return 0.0;
    return moved / fmin(modulus(1.0 - v * factor->largest), modulus(1.0 - v * factor->smallest));
}

int project(const Equation *equation, double complex zeta, double complex *v)
{
    double complex rows[5 * MOST_FACTORS];
    ptrdiff_t factors = equation->factors;
    Values at = values_in(rows, factors);
    double size = INFINITY;
    for (int step = 0; step < 30; step++) {
        int state = evaluate(equation, zeta, v, NULL, 1, 0, &at);
        if (state != DONE)
            return state;
        double last = size, near = 0.0;
        size = 0.0;
        for (ptrdiff_t k = 0; k < factors; k++) {
            at.rates[k] = -at.mismatch[k] / at.steepness[k];
            double moved = modulus(at.rates[k]) / modulus(v[k]);
            if (!isfinite(moved))
                return STRAYED;
            size = fmax(size, moved);
            near = fmax(near, of_distance(&equation->factor[k], v[k], moved));
        }
        double scale = size > 0.5 ? 0.5 / size : 1.0;
        for (ptrdiff_t k = 0; k < factors; k++) {
            const Factor *factor = &equation->factor[k];
            v[k] += scale * at.rates[k];
            /* For real ζ: where a law has no density its v is real, and what it has of an imaginary part rounding. */
            if (cimag(zeta) == 0.0 && !(factor->continuous && on_cut(factor, creal(v[k]))))
                v[k] = creal(v[k]);
        }
        /* Newton's method has arrived, or what is left is rounding: unless it is coming from the very end of a cut. */
        if (size < 1e-14 || (size < 1e-10 && size > 0.3 * last && near < NEARER))
            return DONE;
    }
    return size < 1e-10 ? DONE : STRAYED;
}

/* d log u/d log zeta that may be rounding. */
#define LEVEL 1e-5

int critical(const Equation *equation, int logarithmic, double complex *zeta, double complex *v)
{
    double complex rows[5 * MOST_FACTORS];
    ptrdiff_t factors = equation->factors;
    Values at = values_in(rows, factors);
    int real = cimag(*zeta) == 0.0;
    double size = INFINITY;
    for (int step = 0; step < 60; step++) {
        int state = evaluate(equation, *zeta, v, NULL, 1, 1, &at);
        if (state != DONE)
            return state;
        double complex span = logarithmic ? *zeta : fmax(modulus(*zeta), 0.05);
        double complex first = at.slope * span, second = at.bend * span * span + (logarithmic ? first : 0.0);
        if (second == 0.0 || !isfinite(modulus(first) + modulus(second)))
            return STRAYED;
        double complex move = -first / second;
        if (real)
            move = creal(move);
        if (modulus(move) > 0.5)
            move *= 0.5 / modulus(move);
        double complex new = logarithmic ? *zeta * cexp(move) : *zeta + move * span, far = new - *zeta;
        double last = size;
        size = modulus(move);
        for (ptrdiff_t k = 0; k < factors; k++) {
            double complex dv = at.rates[k] * far - at.mismatch[k] / at.steepness[k];
            if (size < 0.1)
                dv += 0.5 * at.curls[k] * far * far;
            double relative = modulus(dv) / modulus(v[k]);
            /* Written so that NaN strays, too. */
            if (!(relative <= 2.0))
                return STRAYED;
            v[k] += dv;
        }
        *zeta = new;
        /* Steps that no longer shrink are rounding, unless the slope is still there: next to the cut of a law the scale
           of everything may be less than 1e-8. */
        if (size < 1e-13 || (size < 1e-8 && size >= 0.5 * last && modulus(at.slope * *zeta) < LEVEL))
            return DONE;
    }
    return STRAYED;
}
