/* Newton's method beside a common pole of all ψ_k, in the formulas of `spectra.beside`.

   tests/test_native.py holds the two against each other. */

#include "beside.h"

#include <string.h>

/* These are TAIL_HEIGHT of `spectra.laws.nodes`, and constants of `spectra.beside`. */
#define TAIL_HEIGHT 1e-3
#define MAX_STEPS 30
#define POLISH 2
#define ARRIVED 1e-8
#define ROUNDING 1e-15
#define BEARABLE 0.1
/* log(1 + x) − x with relative accuracy: −xy + 2y³/3 + 2y⁵/5 + …, y = x/(2 + x). */
static double complex log_less_linear(double complex x)
{
    double size = modulus(x);
    if (!(size < 0.5))
        return clog(1.0 + x) - x;
    double complex y = x / (2.0 + x), square = y * y, sum = 0.0;
    /* The terms left out are below 1e-17 of the first. */
    for (int k = size < 1e-5 ? 5 : size < 1e-2 ? 9 : 37; k > 1; k -= 2)
        sum = sum * square + 2.0 / k;
    return y * (square * sum - x);
}

/* r_k(ε) = Σ W/(x + ε(1 − x)) and ε r_k'(ε): with y = 1 − 1/ε they are sums over 1/(1 − xy). */
static void finite_part(const Table *table, double complex epsilon, double complex *rest, double complex *turn)
{
    double complex sums[4];
    node_sums(table, 1.0 - 1.0 / epsilon, 1, sums);
    *rest = sums[2] / epsilon;
    *turn = sums[3] / (epsilon * epsilon) - *rest;
}

int evaluate_beside(const Local *local, double complex s, const double complex *epsilon, LocalValues *out)
{
    const Equation *equation = local->equation;
    double drift = equation->constant, plain = 1.0;
    for (ptrdiff_t k = 0; k < equation->factors; k++)
        plain -= equation->factor[k].count;
    double complex value = -drift * s, rate = -drift * s;
    if (plain != 0.0)
        value += plain * log_less_linear(-s), rate -= plain * s * s / (1.0 - s);
    for (ptrdiff_t i = 0; i < equation->terms; i++) {
        double d = equation->d[i], e = equation->e[i];
        double complex x = d * s / (1.0 - d);
        value += e * log_less_linear(x), rate -= e * x * x / (1.0 + x);
    }
    for (ptrdiff_t k = 0; k < equation->factors; k++) {
        const Factor *factor = &equation->factor[k];
        double n = factor->count, omega = factor->omega;
        double complex bent = epsilon[k], x = factor->gap * s / omega, rest = 0.0, turn = 0.0;
        if (drift > 0.0 && factor->continuous && fabs(cimag(bent)) < TAIL_HEIGHT * modulus(bent))
            return JUMP;
        finite_part(factor->table, bent, &rest, &turn);
        double complex excess = (rest - factor->gap) / omega, relative = 1.0 - s * excess;
        double complex pole = s * local->mass[k] / (omega * bent), slope = relative - s * turn / omega;
        double complex speed = (s * excess + pole) / slope;
        double complex push = -bent * bent / (1.0 - bent) - bent * s * (excess + turn / omega);
        value += n * (log_less_linear(-bent) - bent * s * excess);
        rate += n * (push * speed - bent * s * excess);
        if (x != 0.0)
            value += n * log_less_linear(x), rate -= n * x * x / (1.0 + x);
        out->misses[k] = relative - pole, out->mends[k] = -(relative - pole) / slope;
        out->pushes[k] = n * push, out->speeds[k] = speed;
    }
    out->value = value, out->rate = rate;
    return DONE;
}

/* A step in a logarithm, of size 1/2 at most. */
static double complex shortened(double complex step)
{
    double size = 2.0 * modulus(step);
    return size > 1.0 ? step / size : step;
}

int solve_beside(const Local *local, double log_distance, double side, double offset, double complex *s,
                 double complex *epsilon, Course *course)
{
    ptrdiff_t factors = local->equation->factors;
    double complex rows[4 * MOST_FACTORS], bent[MOST_FACTORS], here = *s;
    LocalValues at = {.misses = rows, .mends = rows + factors, .pushes = rows + 2 * factors, .speeds = rows + 3 * factors};
    double best = INFINITY;
    int stalled = 0, arrived = 0;
    memcpy(bent, epsilon, factors * sizeof(double complex));
    for (int step = 0; step < MAX_STEPS; step++) {
        int state = evaluate_beside(local, here, bent, &at);
        if (state != DONE)
            return state;
        double complex distance = at.value - offset, miss = clog(distance * side) - log_distance, pull = 0.0;
        double size = modulus(miss);
        int flat = fabs(cimag(here)) < TAIL_HEIGHT * modulus(here);
        for (ptrdiff_t k = 0; k < factors; k++) {
            double other = modulus(at.misses[k]);
            /* Written so that NaN is kept. */
            if (!(other <= size))
                size = other;
            flat = flat || fabs(cimag(bent[k])) < TAIL_HEIGHT * modulus(bent[k]);
            pull += at.pushes[k] * at.mends[k];
        }
        int better = size < (stalled ? 2.0 * fmax(best, ROUNDING) : best);
        if (better) {
            best = size, *s = here, course->power = at.rate / distance;
            memcpy(epsilon, bent, factors * sizeof(double complex));
            memcpy(course->speeds, at.speeds, factors * sizeof(double complex));
        }
        /* On the way the residual may rise. */
        stalled += stalled > 0 || (best < ARRIVED && !(better && size > ROUNDING));
        /* Where imaginary parts are not much smaller, Newton's method is at its end after a short step. */
        if (stalled > POLISH || ((arrived || stalled) && better && !flat))
            break;
        arrived = size < ARRIVED;
        /* Where the distance depends on the constraints more than the logarithm can bear, these come first. */
        int bearable = modulus(pull) < BEARABLE * modulus(distance);
        double complex move = bearable ? shortened((-miss * distance - pull) / at.rate) : 0.0, new = here * cexp(move);
        for (ptrdiff_t k = 0; k < factors; k++)
            bent[k] *= cexp(shortened(at.mends[k] + at.speeds[k] * move));
        /* ζ stays in the upper half plane, s in the lower. */
        here = cimag(new) >= 0.0 && cimag(here) < 0.0 ? CMPLX(creal(new), 0.2 * cimag(here)) : new;
    }
    course->residual = best;
    return DONE;
}

