/* The master equation beside a common pole, in relative distances from there: see beside.c. */

#ifndef SPECTRA_BESIDE_H
#define SPECTRA_BESIDE_H

#include "newton.h"

/* An equation whose `constant` is the drift, and whose tables hold x = 1 − t/a of all nodes t but the atom a itself;
   `mass` (K): of the atoms. */
typedef struct {
    const Equation *equation;
    const double *mass;
} Local;

/* As `spectra.beside.LocalPoint`, of one point; rows are the K factors'. */
typedef struct {
    double complex value, rate;
    double complex *misses, *mends, *pushes, *speeds;
} LocalValues;

/* DONE, or JUMP where Im r needs a law's own density. */
int evaluate_beside(const Local *local, double complex s, const double complex *epsilon, LocalValues *out);

/* What a solution says of those nearby: its residual, d log|distance|/d log s, and d log ε/d log s (K). */
typedef struct {
    double residual;
    double complex power, *speeds;
} Course;

/* The solution at log u − log u_0 = `offset` + `side`·exp(`log_distance`) from a nearby s and ε, in place, as
   `LocalEquation.solve`; DONE or JUMP. */
int solve_beside(const Local *local, double log_distance, double side, double offset, double complex *s,
                 double complex *epsilon, Course *course);

#endif
