// The decoder's layers over one new column of a batch, in float32 on a CPU: what `inference.py` computes, in one call.
//
// A column multiplies every weight with a handful of rows, so reading the weights is the work. They are laid out in
// panels of L outputs, [panel][in][L], that are read once and in order for all rows. Compiled by `native.py` where it
// runs; L follows the processor. Loops over columns and channels are left to the compiler to vectorise.

#include <algorithm>
#include <cmath>
#include <cstring>

#ifdef __AVX512F__
constexpr long L = 16;
#else
constexpr long L = 8;
#endif
constexpr long GROUP = 4, MOST = 8;  // panels that a thread takes at once; rows whose sums fit into registers

typedef float Lane __attribute__((vector_size(4 * L), aligned(4)));
enum Then { SET, ADD, GELU };

extern "C" {

struct Shape {
    long rows, width, inner, heads, groups, cross_groups, size;
    long at, room, states;   // the column that is written; columns and states that buffers have room for
    long turn;               // step between two rows' rotations: 0 where they share one
    float epsilon;
};

struct Layer {
    const float *own_norm[2], *project, *own_out;
    const float *cross_norm[2], *cross_queries, *cross_out;
    const float *last_norm[2], *widen, *narrow;
};

struct Memory {
    float *keys, *values;    // (rows, groups, room, size)
    const float *cross_keys, *cross_values;  // (rows, cross_groups, states, size)
};
}

template <long M, long P>
static void panels(const float* x, long in, const float* w, float* y, long stride, Then then) {
    Lane sums[M][P] = {};
    for (long k = 0; k < in; k++) {
        Lane column[P];
        for (long p = 0; p < P; p++) {
            const float* from = w + (p * in + k) * L;
            column[p] = *(const Lane*)from;
            __builtin_prefetch(from + 32 * L);
        }
        for (long m = 0; m < M; m++)
            for (long p = 0; p < P; p++) sums[m][p] += x[m * in + k] * column[p];
    }
    for (long m = 0; m < M; m++)
        for (long p = 0; p < P; p++) {
            Lane* to = (Lane*)(y + m * stride + p * L);
            *to = then == ADD ? *to + sums[m][p] : sums[m][p];
        }
}

// M rows times `count` panels, as many at once as there are registers for.
template <long M>
static void chunk(const float* x, long in, const float* w, float* y, long stride, long count, Then then) {
    constexpr long P = M <= 2 ? 4 : M <= 4 ? L / 4 : L / 8;
    long p = 0;
    for (; p + P <= count; p += P) panels<M, P>(x, in, w + p * L * in, y + p * L, stride, then);
    for (; p < count; p++) panels<M, 1>(x, in, w + p * L * in, y + p * L, stride, then);
}

using Chunk = void (*)(const float*, long, const float*, float*, long, long, Then);
static const Chunk chunks[MOST] = {chunk<1>, chunk<2>, chunk<3>, chunk<4>, chunk<5>, chunk<6>, chunk<7>, chunk<8>};

static float gelu(float x) { return 0.5f * x * (1 + std::erf(x * 0.70710678f)); }

// y (rows, out) from x (rows, in) and panels of weights; inside a parallel region its threads share the panels.
static void product(const float* x, long rows, long in, const float* w, float* y, long out, Then then) {
    const long count = out / L;
#pragma omp for schedule(static)
    for (long p = 0; p < count; p += GROUP) {
        const long group = std::min(GROUP, count - p);
        for (long m = 0; m < rows; m += MOST) {
            const long some = std::min(MOST, rows - m);
            float* to = y + m * out + p * L;
            chunks[some - 1](x + m * in, in, w + p * L * in, to, out, group, then);
            if (then == GELU)
                for (long row = 0; row < some; row++)
                    for (long i = 0; i < group * L; i++) to[row * out + i] = gelu(to[row * out + i]);
        }
    }
}

static void normalise(const float* x, long rows, long width, const float* const norm[2], float epsilon, float* y) {
#pragma omp for schedule(static)
    for (long m = 0; m < rows; m++) {
        const float* from = x + m * width;
        float mean = 0, square = 0;
        for (long i = 0; i < width; i++) mean += from[i];
        mean /= width;
        for (long i = 0; i < width; i++) square += (from[i] - mean) * (from[i] - mean);
        const float scale = 1 / std::sqrt(square / width + epsilon);
        for (long i = 0; i < width; i++) y[m * width + i] = (from[i] - mean) * scale * norm[0][i] + norm[1][i];
    }
}

static void rotate(float* x, long size, const float* cosines, const float* sines) {
    for (long i = 0, half = size / 2; i < half; i++) {
        const float first = x[i], second = x[i + half];
        x[i] = first * cosines[i] - second * sines[i];
        x[i + half] = second * cosines[i + half] + first * sines[i + half];
    }
}

// What one query (size,) finds in n keys and values; `hidden` (n,) is added to scores unless null.
static void attend(const float* query, const float* keys, const float* values, const float* hidden, long n, long size,
                   float* scores, float* found) {
    const float scale = 1 / std::sqrt((float)size);
    for (long j = 0; j < n; j++) {
        float score = 0;
        for (long i = 0; i < size; i++) score += query[i] * keys[j * size + i];
        scores[j] = score * scale;
    }
    if (hidden)
        for (long j = 0; j < n; j++) scores[j] += hidden[j];
    float most = scores[0], total = 0;
    for (long j = 1; j < n; j++) most = std::max(most, scores[j]);
    for (long j = 0; j < n; j++) total += scores[j] = std::exp(scores[j] - most);
    std::fill(found, found + size, 0.0f);
    for (long j = 0; j < n; j++)
        for (long i = 0; i < size; i++) found[i] += scores[j] * values[j * size + i];
    for (long i = 0; i < size; i++) found[i] /= total;
}

struct Turn {
    const float *cosines, *sines;  // (rows or 1, size), null without rotary positions
    void operator()(float* x, long row, const Shape& s) const {
        if (cosines) rotate(x, s.size, cosines + row * s.turn, sines + row * s.turn);
    }
};

// Every row's heads over the columns so far; the new column's keys and values are remembered first.
static void self_attention(const Shape& s, const Memory& memory, Turn turn, float* projected, const float* hidden,
                           float* scores, float* found) {
    const long shared = s.heads / s.groups, wide = (s.heads + 2 * s.groups) * s.size, n = s.at + 1;
#pragma omp for schedule(static)
    for (long task = 0; task < s.rows * s.groups; task++) {
        const long row = task / s.groups, group = task % s.groups;
        float *queries = projected + row * wide, *key = queries + (s.heads + group) * s.size;
        float *keys = memory.keys + task * s.room * s.size, *values = memory.values + task * s.room * s.size;
        turn(key, row, s);
        std::memcpy(keys + s.at * s.size, key, 4 * s.size);
        std::memcpy(values + s.at * s.size, key + s.groups * s.size, 4 * s.size);
        for (long head = group * shared; head < (group + 1) * shared; head++) {
            turn(queries + head * s.size, row, s);
            attend(queries + head * s.size, keys, values, hidden + row * s.room, n, s.size, scores + task * s.room,
                   found + (row * s.heads + head) * s.size);
        }
    }
}

static void cross_attention(const Shape& s, const Memory& memory, Turn turn, float* queries, const float* hidden,
                            float* scores, float* found) {
    const long shared = s.heads / s.cross_groups, most = std::max(s.room, s.states);
#pragma omp for schedule(static)
    for (long task = 0; task < s.rows * s.heads; task++) {
        const long row = task / s.heads, head = task % s.heads;
        const long place = (row * s.cross_groups + head / shared) * s.states * s.size;
        turn(queries + task * s.size, row, s);
        attend(queries + task * s.size, memory.cross_keys + place, memory.cross_values + place,
               hidden ? hidden + row * s.states : nullptr, s.states, s.size, scores + task * most,
               found + task * s.size);
    }
}

extern "C" {

long lanes() { return L; }

void multiply(const float* x, long rows, long in, const float* w, float* y, long out, int add, int threads) {
#pragma omp parallel num_threads(threads)
    product(x, rows, in, w, y, out, add ? ADD : SET);
}

// x (rows, width) after all layers, in place; `work` has room for rows * (2 * width + wide + inner + heads * most).
void column(const Shape* shape, const Layer* layers, const Memory* memories, long count, float* x,
            const float* hidden, const float* cross_hidden, const float* cosines, const float* sines, float* work,
            int threads) {
    const Shape& s = *shape;
    const Turn turn = {cosines, sines};
    const long d = s.width, wide = (s.heads + 2 * s.groups) * s.size;
    float *normed = work, *found = normed + s.rows * d, *projected = found + s.rows * d;
    float *inner = projected + s.rows * wide, *scores = inner + s.rows * s.inner;
#pragma omp parallel num_threads(threads)
    for (long number = 0; number < count; number++) {
        const Layer& layer = layers[number];
        normalise(x, s.rows, d, layer.own_norm, s.epsilon, normed);
        product(normed, s.rows, d, layer.project, projected, wide, SET);
        self_attention(s, memories[number], turn, projected, hidden, scores, found);
        product(found, s.rows, d, layer.own_out, x, d, ADD);
        normalise(x, s.rows, d, layer.cross_norm, s.epsilon, normed);
        product(normed, s.rows, d, layer.cross_queries, projected, d, SET);
        cross_attention(s, memories[number], turn, projected, cross_hidden, scores, found);
        product(found, s.rows, d, layer.cross_out, x, d, ADD);
        normalise(x, s.rows, d, layer.last_norm, s.epsilon, normed);
        product(normed, s.rows, d, layer.widen, inner, s.inner, GELU);
        product(inner, s.rows, s.inner, layer.narrow, x, d, ADD);
    }
}
}
