/* The master equation at one trial point, in the formulas of `spectra.master` and `spectra.laws.nodes`.

   tests/test_native.py holds the two against each other. */

#include "equation.h"

#include <math.h>

/* These are TAIL_HEIGHT, ROUGH_HEIGHT of `spectra.laws.nodes` and CROSSING of `spectra.master`. */
#define TAIL_HEIGHT 1e-3
#define ROUGH_HEIGHT 1e-9
#define CROSSING 0.1
/* In a gap what Newton's method leaves of Im v below this is none. */
#define ROUNDING 1e-15

/* A logarithm: that of the modulus, the angle from the nearer real half-axis, and half turns to add. */
typedef struct {
    double log, angle, turns;
} Log;

static Log split_log(double complex z, int branch)
{
    double x = creal(z), y = cimag(z);
    int left = x < 0.0;
    double turns = !left ? 0.0 : y == 0.0 ? branch : y > 0.0 ? 1.0 : -1.0;
    return (Log){log(modulus(z)), atan2(left ? -y : y, fabs(x)), turns};
}

/* Log S = log1p(−A/ψ), which keeps its digits when S is raised to a large power. */
static Log log_s(double complex v, double complex psi, double complex plus, double complex excess)
{
    double complex z = -excess / psi;
    int near = modulus(z) < 0.3;
    if (!near)
        z = v * plus / psi - 1.0;
    double x = creal(z), y = cimag(z);
    double size = near ? 0.5 * log1p(2.0 * x + x * x + y * y) : log(modulus(v * plus / psi));
    int left = x < -1.0;
    return (Log){size, atan2(left ? -y : y, fabs(1.0 + x)), left ? (y > 0.0 ? 1.0 : -1.0) : 0.0};
}

/* v lies just above the cut, where the node sum has only absolute accuracy in Im ψ. */
static int just_above(const Factor *factor, double complex v)
{
    double nearest = INFINITY;
    for (ptrdiff_t i = 0; i < factor->poles; i++)
        nearest = fmin(nearest, modulus(v - factor->pole[i]));
    return fabs(cimag(v)) < TAIL_HEIGHT * nearest;
}

FOR_EVERY_PROCESSOR
int evaluate(const Equation *equation, double complex zeta, const double complex *v, const double *jumps, int rough,
             int curvature, Values *out)
{
    if (zeta == 0.0 || zeta == 1.0)
        return GENERAL;
    Log sum = split_log(zeta, 1);
    double complex slope = 1.0 / zeta, bend = -1.0 / (zeta * zeta), away = 1.0 - zeta;
    for (ptrdiff_t i = 0; i < equation->terms; i++) {
        double d = equation->d[i], e = equation->e[i];
        double complex base = 1.0 - d * zeta;
        if (base == 0.0)
            return GENERAL;
        Log more = split_log(base, -1);
        double complex ratio = d / base;
        sum.log += e * more.log, sum.angle += e * more.angle, sum.turns += e * more.turns;
        slope -= e * ratio;
        bend -= e * ratio * ratio;
    }
    int through = equation->factors > 0 && modulus(zeta) < CROSSING;
    for (ptrdiff_t k = 0; k < equation->factors; k++) {
        const Factor *factor = &equation->factor[k];
        double complex x = v[k], sums[5];
        int cut = on_cut(factor, creal(x)), exact_near = 0;
        if (cimag(zeta) == 0.0 && fabs(cimag(x)) < ROUNDING * modulus(x) && !cut)
            x = CMPLX(creal(x), 0.0);
        if (factor->continuous && !rough) {
            exact_near = just_above(factor, x);
            if (exact_near && cut && isnan(jumps ? jumps[k] : NAN))
                return JUMP;
        }
        node_sums(factor->table, x, curvature ? 2 : 1, sums);
        double complex psi = x * sums[0], plus = sums[2], beyond = 1.0 - x, first = sums[3];
        double complex excess =
            modulus(beyond) < 0.3 && !factor->narrow ? psi * beyond - x : x * x * sums[1] / beyond;
        if (factor->continuous && cimag(x) == 0.0 && !cut) {
            /* A gap: all sums are real. */
            psi = creal(psi), plus = creal(plus), excess = creal(excess);
        } else if (factor->continuous) {
            int small = cimag(x) == 0.0 || fabs(cimag(psi)) < ROUGH_HEIGHT * modulus(psi);
            if (rough ? small && just_above(factor, x) : exact_near) {
                double jump = 0.0;
                if (cut) {
                    jump = jumps ? jumps[k] : NAN;
                    if (isnan(jump) && rough && factor->cut != NULL)
                        jump = rough_density(factor->cut, creal(x));
                    if (isnan(jump))
                        return JUMP;
                }
                double height = jump + cimag(x) * creal(divided_difference(factor->table, creal(x), x));
                psi = CMPLX(creal(psi), height), plus = CMPLX(creal(plus), height);
                /* Where v is large ψ is near −1: only 1 + ψ has digits there. */
                excess = CMPLX(creal(excess), height * (1.0 - creal(x)) - creal(plus) * cimag(x));
            }
        }
        through = through && modulus(psi) < CROSSING * modulus(x);
        double n = factor->count, omega = factor->omega;
        Log more = log_s(x, psi, plus, excess);
        sum.log += n * more.log, sum.angle += n * more.angle, sum.turns += n * more.turns;
        double complex rate = omega / (away * away * first), pull = 1.0 / x - first / (psi * plus), curl = 0.0;
        slope += n * pull * rate;
        if (curvature) {
            double complex second = sums[4], product = psi * plus;
            double complex tug =
                -1.0 / (x * x) - second / product + first * first * (psi + plus) / (product * product);
            curl = (2.0 * omega / (away * away * away) - second * rate * rate) / first;
            bend += n * (tug * rate * rate + pull * curl);
        }
        /* Of ψ and 1 + ψ the smaller has the more digits. */
        double complex demanded = factor->gap + omega / away;
        out->mismatch[k] = modulus(demanded) < 0.5 ? plus - demanded : psi - omega * zeta / away;
        out->rates[k] = rate, out->curls[k] = curl, out->pull[k] = pull, out->steepness[k] = first;
    }
    if (through)
        return GENERAL;
    out->log_u = CMPLX(equation->constant + sum.log, sum.angle + PI * sum.turns);
    out->slope = slope, out->bend = bend;
    return DONE;
}

FOR_EVERY_PROCESSOR
double residual(const Equation *equation, double complex zeta, const double complex *v, double complex target,
                const Values *at)
{
    double size = modulus(at->log_u - target) / (1.0 + modulus(target));
    for (ptrdiff_t k = 0; k < equation->factors; k++) {
        double omega = equation->factor[k].omega;
        double complex psi = omega * zeta / (1.0 - zeta), plus = equation->factor[k].gap + omega / (1.0 - zeta);
        double scale = fmin(fmin(modulus(psi), modulus(plus)), 1.0);
        /* Near a pole of ψ_k a change of v_k by its rounding moves ψ_k by far more than its rounding. */
        double miss = modulus(at->mismatch[k]) / fmax(scale, 1e-4 * modulus(v[k] * at->steepness[k]));
        /* Written so that NaN does not pass for small. */
        if (!(miss <= size))
            size = miss;
    }
    return size;
}

FOR_EVERY_PROCESSOR
void newton_step(const Equation *equation, const Values *at, double complex target, double complex *dzeta, double complex *dv)
{
    double complex miss = target - at->log_u;
    for (ptrdiff_t k = 0; k < equation->factors; k++) {
        dv[k] = at->mismatch[k] / at->steepness[k];
        miss += equation->factor[k].count * at->pull[k] * dv[k];
    }
    *dzeta = miss / at->slope;
    for (ptrdiff_t k = 0; k < equation->factors; k++)
        dv[k] = at->rates[k] * *dzeta - dv[k];
}

FOR_EVERY_PROCESSOR
void cubic_step(const Equation *equation, double complex zeta, const double complex *v, const Values *at,
                double complex target, double complex *dzeta, double complex *dv)
{
    double complex miss = target - at->log_u, slope = at->slope;
    for (ptrdiff_t k = 0; k < equation->factors; k++) {
        const Factor *factor = &equation->factor[k];
        double n = factor->count, omega = factor->omega;
        double complex rate = at->rates[k], pull = at->pull[k], first = at->steepness[k];
        /* ψ''/ψ', from the curl; and ∂² log S/∂v². */
        double complex turn = (2.0 * rate / (1.0 - zeta) - at->curls[k]) / (rate * rate);
        /* As ψ is to be: by how much it is not counts for a cube. */
        double complex psi = omega * zeta / (1.0 - zeta), plus = factor->gap + omega / (1.0 - zeta);
        double complex product = psi * plus, part = first / product;
        double complex tug = -1.0 / (v[k] * v[k]) - turn * part + part * part * (psi + plus);
        /* By how much v is beyond where ζ wants it, and what that does to the slope along the constraints. */
        double complex plain = at->mismatch[k] / first, beyond = plain + 0.5 * turn * plain * plain;
        miss += n * (pull - 0.5 * tug * beyond) * beyond;
        slope += n * rate * (pull * turn - tug) * beyond;
        at->rates[k] *= 1.0 + turn * beyond;
        dv[k] = -beyond;
    }
    double complex step = miss / slope;
    step -= 0.5 * at->bend / slope * step * step;
    for (ptrdiff_t k = 0; k < equation->factors; k++)
        dv[k] += (at->rates[k] + 0.5 * at->curls[k] * step) * step;
    *dzeta = step;
}
