/* What Im ψ is on the cut, by cubic interpolation in tables that Python made: good enough for an iterate. */

#include "cut.h"

#include <math.h>
#include <stdlib.h>

/* As in `spectra.laws.inverse`: a step of log t over which nothing is interpolated, and where R may be infinite. */
#define COARSE 2.0
#define LARGEST_LOG 700.0

Cut *make_cut(ptrdiff_t parts)
{
    Cut *cut = calloc(1, sizeof(Cut));
    if (cut == NULL || (cut->part = calloc(parts + 1, sizeof(Part))) == NULL) {
        free(cut);
        return NULL;
    }
    cut->parts = parts;
    return cut;
}

double *make_part(Part *part, ptrdiff_t size)
{
    part->rows = malloc(3 * size * sizeof(double));
    part->size = part->rows == NULL ? 0 : size;
    return part->rows;
}

void free_cut(Cut *cut)
{
    if (cut == NULL)
        return;
    for (ptrdiff_t i = 0; i < cut->parts; i++)
        free(cut->part[i].rows);
    free(cut->part);
    free(cut);
}

double rough_density(const Cut *cut, double v)
{
    double target = -log(v), total = 0.0;
    for (ptrdiff_t i = 0; i < cut->parts; i++) {
        ptrdiff_t size = cut->part[i].size, low = 0, high = size - 1;
        const double *height = cut->part[i].rows, *value = height + size, *slope = value + size;
        if (size < 2 || !(height[0] < target && target < height[high]))
            continue;
        while (high - low > 1) {
            ptrdiff_t middle = (low + high) / 2;
            if (height[middle] < target)
                low = middle;
            else
                high = middle;
        }
        double gap = height[high] - height[low], s = (target - height[low]) / gap, rise = value[high] - value[low];
        double bend = (1.0 - s) * (slope[low] * gap - rise) - s * (slope[high] * gap - rise);
        double log_r = value[low] + s * rise + s * (1.0 - s) * bend;
        /* Written so that NaN is unknown, too. */
        if (!(fabs(log_r) < LARGEST_LOG && gap < COARSE))
            return NAN;
        total += exp(log_r);
    }
    return total;
}
