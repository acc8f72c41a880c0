/* Sums over the nodes of one law: see sums.c. */

#ifndef SPECTRA_SUMS_H
#define SPECTRA_SUMS_H

#include <complex.h>
#include <stddef.h>

/* Nodes are summed so many at a time. */
#define LANES 8

/* A function compiled for each kind of processor. */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EVERY_PROCESSOR __attribute__((target_clones("avx512f", "avx2,fma", "default")))
#else
#define FOR_EVERY_PROCESSOR
#endif
/* Rows of doubles over the nodes: Re t, Im t, then real and imaginary parts of W t, W (t − 1)², W and 2 W t². */
#define ROWS 10
/* Terms of the series in vt or 1/vt for nodes far from 1/v, and how near 1/v the others are. */
#define TERMS 13
#define FAR 0.04
/* Blocks in a group, at least, and groups, about, of a law of many nodes: at the boundaries between groups the
   coefficients of the series are known. */
#define GROUP 3
#define GROUPS 50
/* Entries of `below` and `above` at each boundary. */
#define BELOW (2 * TERMS + 2)
#define ABOVE (2 * TERMS + 1)

/* Nodes of a law in order of |t|, in `blocks` of LANES, `group` of which are one of `groups`.

   `least`, `most` (groups): |t| of their first and last node.  `below` (groups + 1, BELOW): of the nodes before a
   boundary, Σ W s^k for k = 0 … TERMS + 1 and Σ W (t − 1)² s^k for k = 0 … TERMS − 1, s = t/`most` of the group
   before.  `above` (groups + 1, ABOVE): of those behind it, Σ W s^k for k = 0 … TERMS and Σ W (t − 1)² s^k for
   k = 1 … TERMS, s = `least` of the group behind/t. */
typedef struct {
    ptrdiff_t blocks, group, groups;
    double *rows, *least, *most;
    double complex *below, *above;
} Table;

/* The table of nodes `t` and weights `w`, `size` of them, a multiple of LANES; -1 without memory. */
int make_table(Table *table, const double complex *t, const double complex *w, ptrdiff_t size);
void free_table(Table *table);

/* Σ Wt r, Σ W(t−1)² r, Σ W r, Σ Wt r² and Σ 2Wt² r³, the first 3 + `order` of them, with r = 1/(1 − vt). */
void node_sums(const Table *table, double complex v, int order, double complex *out);

/* Σ W t /((1 − at)(1 − vt)), a real. */
double complex divided_difference(const Table *table, double a, double complex v);

/* How many entries of the rising `x` are at most `limit`. */
ptrdiff_t count_up_to(const double *x, ptrdiff_t size, double limit);

#endif
