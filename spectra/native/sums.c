/* Sums over the nodes of a law: nearly all the work there is in the master equation.

   The same sums as `spectra.laws.sums` forms with numpy.  Laws whose support spans many decades have nodes in each of
   them, and at any v all but a few decades are so far from 1/v that a short series in vt or 1/vt stands for them: with
   its coefficients known at every boundary between blocks of nodes, just the nodes around 1/v are summed one by one. */

#include "sums.h"

#include <math.h>
#include <stdlib.h>

/* Vectors added up before they are added to the total: partial sums keep the rounding small. */
#define BATCH 8

typedef double vec __attribute__((vector_size(LANES * sizeof(double)), aligned(8)));

static inline double total(const vec *x)
{
    return (((*x)[0] + (*x)[1]) + ((*x)[2] + (*x)[3])) + (((*x)[4] + (*x)[5]) + ((*x)[6] + (*x)[7]));
}

/* Without the checks for infinities that C has multiplication make. */
static inline double complex times(double complex a, double complex b)
{
    return CMPLX(creal(a) * creal(b) - cimag(a) * cimag(b), creal(a) * cimag(b) + cimag(a) * creal(b));
}

/* A running sum, and what rounding took from it. */
typedef struct {
    double sum, lost;
} Running;

static inline void add_to(Running *x, double scale, double y)
{
    double before = x->sum * scale, sum = before + y, part = sum - before;
    x->lost = x->lost * scale + ((before - (sum - part)) + (y - part));
    x->sum = sum;
}

/* Scale the running coefficients by powers of `shrink`, add those of a block and write them to `out`: the first
   `split` from the power 0 on, the others from `first` on. */
static inline void advance(Running *running, const double complex *block, int count, int split, int first, double shrink,
                    double complex *out)
{
    double power = 1.0;
    for (int k = 0; k < count; k++, power *= shrink) {
        if (k == split)
            power = first ? shrink : 1.0;
        Running *real = &running[2 * k], *imag = &running[2 * k + 1];
        add_to(real, power, creal(block[k]));
        add_to(imag, power, cimag(block[k]));
        out[k] = CMPLX(real->sum + real->lost, imag->sum + imag->lost);
    }
}

/* Add up `weights` s^k of one block for k = 0 … count − 1, lane by lane. */
static inline __attribute__((always_inline)) void power_sums(const vec *weights, const vec *weights_imag, const vec *s,
                                                             const vec *s_imag, int count, vec *sums)
{
    vec a = *weights, b = *weights_imag;
    for (int k = 0; k < count; k++) {
        sums[2 * k] += a, sums[2 * k + 1] += b;
        vec next = a * *s - b * *s_imag;
        b = a * *s_imag + b * *s;
        a = next;
    }
}

static inline void totals(const vec *sums, int count, double complex *out)
{
    for (int k = 0; k < count; k++)
        out[k] = CMPLX(total(&sums[2 * k]), total(&sums[2 * k + 1]));
}

/* Coefficients at all boundaries, from one end of the nodes to the other. */
FOR_EVERY_PROCESSOR
static void expand(Table *table)
{
    ptrdiff_t blocks = table->blocks, many = table->group, groups = table->groups, size = blocks * LANES;
    const vec *t = (const vec *)table->rows, *t_imag = (const vec *)(table->rows + size);
    const vec *squares = (const vec *)(table->rows + 4 * size), *squares_imag = (const vec *)(table->rows + 5 * size);
    const vec *w = (const vec *)(table->rows + 6 * size), *w_imag = (const vec *)(table->rows + 7 * size);
    Running running[2 * BELOW] = {0};
    double complex group[BELOW];
    for (int k = 0; k < BELOW; k++)
        table->below[k] = 0.0;
    for (ptrdiff_t g = 0; g < groups; g++) {
        double scale = table->most[g], shrink = g > 0 ? table->most[g - 1] / scale : 0.0;
        vec sums[2 * BELOW] = {0};
        for (ptrdiff_t b = g * many; b < blocks && b < (g + 1) * many; b++) {
            vec s = t[b] * (1.0 / scale), s_imag = t_imag[b] * (1.0 / scale);
            power_sums(&w[b], &w_imag[b], &s, &s_imag, TERMS + 2, sums);
            power_sums(&squares[b], &squares_imag[b], &s, &s_imag, TERMS, sums + 2 * (TERMS + 2));
        }
        totals(sums, BELOW, group);
        advance(running, group, BELOW, TERMS + 2, 0, shrink, table->below + (g + 1) * BELOW);
    }
    for (int k = 0; k < 2 * ABOVE; k++)
        running[k] = (Running){0.0, 0.0};
    for (int k = 0; k < ABOVE; k++)
        table->above[groups * ABOVE + k] = 0.0;
    for (ptrdiff_t g = groups - 1; g >= 0; g--) {
        double scale = table->least[g], shrink = g + 1 < groups ? scale / table->least[g + 1] : 0.0;
        vec sums[2 * ABOVE] = {0};
        for (ptrdiff_t b = g * many; b < blocks && b < (g + 1) * many; b++) {
            vec x = t[b] * (1.0 / scale), y = t_imag[b] * (1.0 / scale), inverse = 1.0 / (x * x + y * y);
            vec s = x * inverse, s_imag = -y * inverse;
            vec first = squares[b] * s - squares_imag[b] * s_imag;
            vec first_imag = squares[b] * s_imag + squares_imag[b] * s;
            power_sums(&w[b], &w_imag[b], &s, &s_imag, TERMS + 1, sums);
            power_sums(&first, &first_imag, &s, &s_imag, TERMS, sums + 2 * (TERMS + 1));
        }
        totals(sums, ABOVE, group);
        advance(running, group, ABOVE, TERMS + 1, 1, shrink, table->above + g * ABOVE);
    }
}

int make_table(Table *table, const double complex *t, const double complex *w, ptrdiff_t size)
{
    ptrdiff_t blocks = size / LANES, group = blocks > GROUP * GROUPS ? blocks / GROUPS : GROUP;
    ptrdiff_t groups = (blocks + group - 1) / group;
    table->blocks = blocks, table->group = group, table->groups = groups;
    table->rows = malloc(ROWS * size * sizeof(double));
    table->least = malloc(groups * sizeof(double));
    table->most = malloc(groups * sizeof(double));
    table->below = malloc((groups + 1) * BELOW * sizeof(double complex));
    table->above = malloc((groups + 1) * ABOVE * sizeof(double complex));
    if (!table->rows || !table->least || !table->most || !table->below || !table->above)
        return -1;
    for (ptrdiff_t j = 0; j < size; j++) {
        double complex row[ROWS / 2] = {t[j], w[j] * t[j], w[j] * (t[j] - 1.0) * (t[j] - 1.0), w[j],
                                        2.0 * w[j] * t[j] * t[j]};
        for (int i = 0; i < ROWS / 2; i++)
            table->rows[2 * i * size + j] = creal(row[i]), table->rows[(2 * i + 1) * size + j] = cimag(row[i]);
    }
    for (ptrdiff_t g = 0; g < groups; g++) {
        ptrdiff_t end = (g + 1) * group < blocks ? (g + 1) * group : blocks;
        table->least[g] = cabs(t[g * group * LANES]), table->most[g] = cabs(t[end * LANES - 1]);
    }
    expand(table);
    return 0;
}

void free_table(Table *table)
{
    free(table->rows), free(table->least), free(table->most), free(table->below), free(table->above);
}

/* Add the sums over the blocks from `begin` to `end`. */
FOR_EVERY_PROCESSOR
static void add_blocks(const double *rows, ptrdiff_t size, ptrdiff_t begin, ptrdiff_t end, double vr, double vi,
                       int order, double *out)
{
    const vec *row[ROWS];
    vec sum[10];
    for (int i = 0; i < ROWS; i++)
        row[i] = (const vec *)(rows + i * size);
    for (int i = 0; i < 10; i++)
        sum[i] = (vec){0};
    for (; begin < end; begin += BATCH) {
        ptrdiff_t stop = begin + BATCH < end ? begin + BATCH : end;
        vec part0 = {0}, part1 = {0}, part2 = {0}, part3 = {0}, part4 = {0};
        vec part5 = {0}, part6 = {0}, part7 = {0}, part8 = {0}, part9 = {0};
        for (ptrdiff_t j = begin; j < stop; j++) {
            vec x = 1.0 - (vr * row[0][j] - vi * row[1][j]), y = vr * row[1][j] + vi * row[0][j];
            vec scale = 1.0 / (x * x + y * y);
            vec a = x * scale, b = y * scale;
            part0 += row[2][j] * a - row[3][j] * b;
            part1 += row[2][j] * b + row[3][j] * a;
            part2 += row[4][j] * a - row[5][j] * b;
            part3 += row[4][j] * b + row[5][j] * a;
            part4 += row[6][j] * a - row[7][j] * b;
            part5 += row[6][j] * b + row[7][j] * a;
            if (order > 0) {
                vec c = a * a - b * b, d = 2.0 * a * b;
                part6 += row[2][j] * c - row[3][j] * d;
                part7 += row[2][j] * d + row[3][j] * c;
                if (order > 1) {
                    vec e = c * a - d * b, f = c * b + d * a;
                    part8 += row[8][j] * e - row[9][j] * f;
                    part9 += row[8][j] * f + row[9][j] * e;
                }
            }
        }
        sum[0] += part0, sum[1] += part1, sum[2] += part2, sum[3] += part3, sum[4] += part4;
        sum[5] += part5, sum[6] += part6, sum[7] += part7, sum[8] += part8, sum[9] += part9;
    }
    for (int i = 0; i < 6 + 2 * order; i++)
        out[i] += total(&sum[i]);
}

/* Nodes with |vt| ≤ FAR, by Σ_k (vt)^k; `scale` times s is t. */
FOR_EVERY_PROCESSOR
static void add_below(const double complex *c, double scale, double complex v, int order, double complex *out)
{
    const double complex *squares = c + TERMS + 2;
    double complex x = v * scale, sum[5] = {0};
    for (int k = TERMS - 1; k >= 0; k--) {
        sum[0] = times(sum[0], x) + c[k + 1];
        sum[1] = times(sum[1], x) + squares[k];
        sum[2] = times(sum[2], x) + c[k];
        sum[3] = times(sum[3], x) + (k + 1.0) * c[k + 1];
        sum[4] = times(sum[4], x) + (k + 1.0) * (k + 2.0) * c[k + 2];
    }
    sum[0] *= scale, sum[3] *= scale, sum[4] *= scale * scale;
    for (int i = 0; i < 3 + order; i++)
        out[i] += sum[i];
}

/* Nodes with |vt| ≥ 1/FAR, by −Σ_{k≥1} (vt)^{−k}; `scale` over s is t. */
FOR_EVERY_PROCESSOR
static void add_above(const double complex *c, double scale, double complex v, int order, double complex *out)
{
    const double complex *squares = c + TERMS;
    double complex y = 1.0 / (v * scale), sum[5] = {0};
    for (int k = TERMS; k >= 1; k--) {
        sum[0] = times(sum[0], y) - c[k - 1];
        sum[1] = times(sum[1], y) - squares[k];
        sum[2] = times(sum[2], y) - c[k];
        sum[3] = times(sum[3], y) + (k - 1.0) * c[k - 1];
        sum[4] = times(sum[4], y) - (k > 2 ? (k - 1.0) * (k - 2.0) * c[k - 2] : 0.0);
    }
    sum[0] *= scale, sum[3] *= scale, sum[4] *= scale * scale;
    for (int i = 0; i < 3 + order; i++)
        out[i] += times(sum[i], y);
}

ptrdiff_t count_up_to(const double *x, ptrdiff_t size, double limit)
{
    ptrdiff_t low = 0, high = size;
    while (low < high) {
        ptrdiff_t middle = (low + high) / 2;
        if (x[middle] <= limit)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void node_sums(const Table *table, double complex v, int order, double complex *out)
{
    double near = 1.0 / cabs(v);
    ptrdiff_t blocks = table->blocks, groups = table->groups;
    ptrdiff_t begin = count_up_to(table->most, groups, FAR * near), end = count_up_to(table->least, groups, near / FAR);
    if (end < begin)
        end = begin;
    for (int i = 0; i < 3 + order; i++)
        out[i] = 0.0;
    if (begin > 0)
        add_below(table->below + begin * BELOW, table->most[begin - 1], v, order, out);
    if (end < groups)
        add_above(table->above + end * ABOVE, table->least[end], v, order, out);
    if (begin < end)
        add_blocks(table->rows, blocks * LANES, begin * table->group, end < groups ? end * table->group : blocks, creal(v), cimag(v),
                   order, (double *)out);
}

FOR_EVERY_PROCESSOR
static void difference(const double *rows, ptrdiff_t blocks, double at, double vr, double vi, double *out)
{
    ptrdiff_t size = blocks * LANES;
    const vec *t_r = (const vec *)rows, *t_i = (const vec *)(rows + size);
    const vec *w_r = (const vec *)(rows + 2 * size), *w_i = (const vec *)(rows + 3 * size);
    vec real = {0}, imag = {0};
    for (ptrdiff_t j = 0; j < blocks; j++) {
        vec x = 1.0 - (vr * t_r[j] - vi * t_i[j]), y = vr * t_i[j] + vi * t_r[j];
        vec p = 1.0 - at * t_r[j], q = at * t_i[j];
        vec scale = 1.0 / (x * x + y * y), other = 1.0 / (p * p + q * q);
        vec a = (x * p - y * q) * scale * other, b = (x * q + y * p) * scale * other;
        real += w_r[j] * a - w_i[j] * b;
        imag += w_r[j] * b + w_i[j] * a;
    }
    out[0] = total(&real), out[1] = total(&imag);
}

double complex divided_difference(const Table *table, double a, double complex v)
{
    double out[2];
    difference(table->rows, table->blocks, a, creal(v), cimag(v), out);
    return CMPLX(out[0], out[1]);
}
