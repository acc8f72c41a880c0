/* Plain steps of the sweep, as `BulkWalker._bulk` makes them, for as long as nothing else may be ahead.

   Wherever an edge, an atom or the end of an arc may be near, and where short steps fail as well, the march stops and
   Python decides: that is why its conditions are wider than those of `spectra.bulk`. */

#include "march.h"

#include <math.h>
#include <string.h>

/* A step that fails is shortened to this part, so many times before Python decides. */
#define SHORTER 0.4
#define MOST_TURNS 6

/* Log of the density in log λ given λ ≠ 0. */
static double log_density(double complex zeta)
{
    return log(cimag(zeta) / PI) - 2.0 * log(modulus(1.0 - zeta));
}

/* D log(density in log λ)/d log u. */
static double fading_of(double complex zeta, double complex slope)
{
    double complex away = 1.0 - zeta, rate = 1.0 / (away * away) / slope;
    double height = cimag(zeta) / modulus(away) / modulus(away);
    return height > 0.0 ? cimag(rate) / height : -INFINITY;
}

/* As `Course.at`: values, and two derivatives of their logarithms. */
static void course(const Equation *equation, const Standing *here, double complex *row)
{
    ptrdiff_t size = equation->factors + 1;
    double complex slope = here->at.slope, turn = here->at.bend / slope, *first = row + size, *second = first + size;
    row[0] = here->zeta;
    first[0] = 1.0 / (slope * here->zeta);
    second[0] = -turn / (slope * slope) / here->zeta;
    for (ptrdiff_t k = 1; k < size; k++) {
        double complex rate = here->at.rates[k - 1];
        row[k] = here->v[k - 1];
        first[k] = rate / slope / row[k];
        second[k] = (here->at.curls[k - 1] - rate * turn) / (slope * slope) / row[k];
    }
    for (ptrdiff_t k = 0; k < size; k++)
        second[k] -= first[k] * first[k];
}

/* As `Course.reach`. */
static double reach(const double complex *first, const double complex *second, ptrdiff_t size)
{
    double least = INFINITY;
    for (ptrdiff_t k = 0; k < size; k++) {
        double curving = fmax(modulus(second[k]), 1e-300);
        least = fmin(least, fmax(0.35 * modulus(first[k]) / curving, sqrt(0.1 / curving)));
    }
    return least;
}

/* Whether Newton's method finds no edge from here: it strays, or leads to a critical point off the axis. */
static int lands_nowhere(const Equation *equation, const Pace *pace, const Standing *here)
{
    double complex zeta = here->zeta, v[MOST_FACTORS];
    /* Near 0 there are two ways to look for it, and explicit equations have their edges in extended precision. */
    if (modulus(zeta) <= 0.1 || equation->factors == 0)
        return 0;
    memcpy(v, here->v, equation->factors * sizeof(double complex));
    int state = critical(equation, 1, &zeta, v);
    return state == STRAYED || (state == DONE && !(fabs(cimag(zeta)) < pace->flat * fmax(fabs(creal(zeta)), 0.05)));
}

/* Whether the slope of log u vanishes ahead, not far, and near the axis. */
static int has_turn_ahead(const Pace *pace, const Standing *here)
{
    double complex ahead = -here->at.slope / here->at.bend;
    double size = modulus(ahead), height = cimag(here->zeta);
    return size < pace->ahead * fmax(modulus(here->zeta), pace->least) && creal(ahead * here->at.slope) > 0.0 &&
           fabs(height + cimag(ahead)) < pace->down * fmax(height, 0.1 * size);
}

/* Whether an edge, an atom or the end of the arc may be near. */
static int is_eventful(const Equation *equation, const Pace *pace, const double *resolved, const Standing *here,
                       double density)
{
    if (has_turn_ahead(pace, here) && !lands_nowhere(equation, pace, here))
        return 1;
    if (modulus(1.0 - here->zeta) < pace->beside_pole || !(density > pace->thin))
        return 1;
    for (ptrdiff_t k = 0; k < equation->factors; k++) {
        double size = modulus(here->v[k]);
        if (size > pace->largest || (density < pace->lost && size * resolved[k] > 0.3))
            return 1;
    }
    return 0;
}

/* The point `step` ahead, as `BulkWalker._advance` extrapolates it; 0 where that leads below the real axis. */
static int extrapolate(const double complex *row, ptrdiff_t size, double step, double complex *zeta, double complex *v)
{
    for (ptrdiff_t k = 0; k < size; k++) {
        double complex next = row[k] * cexp(row[size + k] * step + 0.5 * row[2 * size + k] * step * step);
        if (cimag(next) <= 0.0 && cimag(next) > -1e-6 * modulus(next))
            next = CMPLX(creal(next), 1e-16 * modulus(next));
        /* Written so that NaN fails, too. */
        if (!(cimag(next) > 0.0 && isfinite(modulus(next))))
            return 0;
        *(k ? &v[k - 1] : zeta) = next;
    }
    return 1;
}

ptrdiff_t march(const Equation *equation, const Pace *pace, const double *resolved, Standing *here, Values other,
                double complex *out, ptrdiff_t room)
{
    ptrdiff_t size = equation->factors + 1, made = 0;
    double complex next_v[MOST_FACTORS];
    if (evaluate(equation, here->zeta, here->v, NULL, 1, 1, &here->at) != DONE)
        return -1;
    here->size = 0.0;
    while (made < room) {
        double complex *row = out + made * (3 * size + 1), next, *course_here = row + 1;
        double density = log_density(here->zeta), fading = fading_of(here->zeta, here->at.slope);
        if (!isfinite(modulus(here->at.slope)) || is_eventful(equation, pace, resolved, here, density))
            break;
        row[0] = here->log_u;
        course(equation, here, course_here);
        double scale = reach(course_here + size, course_here + 2 * size, size), step = fmin(scale, 3.0 * here->step);
        step = fmin(step, 6.0 / fmax(fabs(fading), 1e-300));
        double rough = pace->rough * fmin(fmin(1.0, 1.0 / modulus(course_here[size])), scale), found;
        if (density < pace->sparse) {
            double angle = INFINITY;
            for (ptrdiff_t k = 0; k < size; k++)
                angle = fmin(angle, fabs(cimag(course_here[k])) / modulus(course_here[k]));
            rough = fmin(rough, 0.01 * fmax(exp(density), angle));
        }
        int state = STRAYED, turns = has_turn_ahead(pace, here) ? 1 : MOST_TURNS;
        for (int turn = 0; turn < turns && state == STRAYED; turn++) {
            if (turn > 0)
                step *= SHORTER;
            if (extrapolate(course_here, size, step, &next, next_v))
                state = follow(equation, here->log_u + step, rough, pace->certified, &next, next_v, &other, &found);
        }
        if (state != DONE || !isfinite(modulus(other.log_u)) || !isfinite(modulus(other.slope)) ||
            !isfinite(modulus(other.bend)))
            break;
        Values old = here->at;
        here->at = other, other = old;
        here->zeta = next;
        memcpy(here->v, next_v, equation->factors * sizeof(double complex));
        here->log_u += step, here->step = step, here->fading = fading, here->size = found;
        made++;
    }
    return made;
}
