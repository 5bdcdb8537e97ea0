// Winograd's minimal filtering against direct convolution.
//
// Its bound is that of a sum of products (checker.h) with two differences. Its terms
// are those that the transforms make of inputs and weights, all by their magnitudes: of
// the forward pass
//     |A'| [sum over c of (|G| |g| |G'|) * (|B'| |d| |B|)] |A|,
// which bounds what rounding errors grow to (Barabasz et al. 2020, section 4). And
// beside the additions of the sum, a term meets up to kRoundings others: two transforms
// of each factor and of the result, with no more than 4 each and 2 of G's constants.
#include <array>

#include "checker.h"
#include "winograd.h"

namespace striate {

namespace {

constexpr int64_t kRoundings = 30;

template <size_t R, size_t C>
using Matrix = std::array<std::array<double, C>, R>;
using Points = Matrix<6, 6>;

constexpr double a = kWinogradNear, b = kWinogradFar, aa = a * a, bb = b * b;
constexpr double ga = 1.0 / (2.0 * aa * (aa - bb)), gb = 1.0 / (2.0 * bb * (bb - aa));
constexpr Matrix<6, 6> kPatches = {{{aa * bb, 0, -aa - bb, 0, 1, 0},
                                    {0, -a* bb, -bb, a, 1, 0},
                                    {0, a* bb, -bb, -a, 1, 0},
                                    {0, -aa* b, -aa, b, 1, 0},
                                    {0, aa* b, -aa, -b, 1, 0},
                                    {0, aa* bb, 0, -aa - bb, 0, 1}}};
// The polynomials of N coefficients at the six points, times scales: G and A.
template <size_t N>
constexpr Matrix<6, N> evaluations(double zero, double near, double far) {
    Matrix<6, N> m{};
    const double points[] = {0.0, a, -a, b, -b},
                 scales[] = {zero, near, near, far, far};
    for (size_t i = 0; i < 5; ++i) {
        double power = scales[i];
        for (size_t k = 0; k < N; ++k, power *= points[i]) m[i][k] = power;
    }
    m[5][N - 1] = 1.0;
    return m;
}
template <size_t K>
constexpr Matrix<6, K> kKernels = evaluations<K>(1.0 / (aa * bb), ga, gb);
template <size_t M>
constexpr Matrix<6, M> kSums = evaluations<M>(1.0, 1.0, 1.0);

// |M| x |M'|
template <size_t R, size_t C>
Matrix<R, R> spread(const Matrix<R, C>& m, const Matrix<C, C>& x) {
    Matrix<R, R> y{};
    for (size_t i = 0; i < R; ++i)
        for (size_t j = 0; j < R; ++j)
            for (size_t k = 0; k < C; ++k)
                for (size_t l = 0; l < C; ++l)
                    y[i][j] += std::fabs(m[i][k] * m[j][l]) * x[k][l];
    return y;
}

// |M'| x |M|
template <size_t R, size_t C>
Matrix<C, C> gather(const Matrix<R, C>& m, const Matrix<R, R>& x) {
    Matrix<C, R> turned{};
    for (size_t i = 0; i < R; ++i)
        for (size_t j = 0; j < C; ++j) turned[j][i] = m[i][j];
    return spread(turned, x);
}

// sum += p * v by element
void add_products(const Points& p, const Points& v, Points& sum) {
    for (size_t i = 0; i < 6; ++i)
        for (size_t j = 0; j < 6; ++j) sum[i][j] += p[i][j] * v[i][j];
}

// What lies at (row, column) of [H][W][L] in a lane; zero outside.
template <size_t N>
Matrix<N, N> cut_out(const double* plane, int64_t H, int64_t W, int64_t row,
                     int64_t column, int64_t lane, int64_t lanes) {
    Matrix<N, N> x{};
    for (size_t i = 0; i < N; ++i)
        for (size_t j = 0; j < N; ++j) {
            const int64_t h = row + int64_t(i), w = column + int64_t(j);
            if (h >= 0 && h < H && w >= 0 && w < W)
                x[i][j] = plane[(h * W + w) * lanes + lane];
        }
    return x;
}

// Planes x[C][H][W][L] and the window of y[O][H][W][L] that comes of them by K x K
// kernels, its tiles' patches beginning at (row, column) of x.
template <size_t K>
struct Pass {
    static constexpr int64_t M = 7 - K;
    int64_t C, H, W, row, column;
    int64_t O, out_H, out_W, top, left, rows, columns, lanes;

    // Calls visit(row in the window, column in the window, lane) for every tile.
    template <class Visit>
    void for_each_tile(Visit visit) const {
        for (int64_t h = 0; h < rows; h += M)
            for (int64_t w = 0; w < columns; w += M)
                for (int64_t l = 0; l < lanes; ++l) visit(h, w, l);
    }
    std::vector<Points> patches(const Doubles& x, int64_t h, int64_t w,
                                int64_t l) const {
        std::vector<Points> all;
        for (int64_t c = 0; c < C; ++c)
            all.push_back(
                spread(kPatches, cut_out<6>(x.data() + c * H * W * lanes, H, W, row + h,
                                            column + w, l, lanes)));
        return all;
    }
};

// The terms of y's window from magnitudes of x and of kernels[O][C].
template <size_t K>
Doubles terms_of_pass(const Pass<K>& s, const Doubles& x,
                      const std::vector<Matrix<K, K>>& kernels) {
    constexpr size_t M = 7 - K;
    std::vector<Points> points;
    for (const Matrix<K, K>& kernel : kernels)
        points.push_back(spread(kKernels<K>, kernel));
    Doubles y(s.O * s.out_H * s.out_W * s.lanes);
    s.for_each_tile([&](int64_t h, int64_t w, int64_t l) {
        const std::vector<Points> patches = s.patches(x, h, w, l);
        for (int64_t o = 0; o < s.O; ++o) {
            Points sum{};
            for (int64_t c = 0; c < s.C; ++c)
                add_products(points[size_t(o * s.C + c)], patches[size_t(c)], sum);
            const Matrix<M, M> tile = gather(kSums<M>, sum);
            for (int64_t i = 0; i < s.M && h + i < s.rows; ++i)
                for (int64_t j = 0; j < s.M && w + j < s.columns; ++j)
                    y[((o * s.out_H + s.top + h + i) * s.out_W + s.left + w + j) *
                          s.lanes +
                      l] = tile[size_t(i)][size_t(j)];
        }
    });
    return y;
}

// The terms of dw[O][C][K][K] from magnitudes of x and dy.
template <size_t K>
Doubles terms_of_weights(const Pass<K>& s, const Doubles& x, const Doubles& dy) {
    std::vector<Points> sums(size_t(s.O * s.C));
    s.for_each_tile([&](int64_t h, int64_t w, int64_t l) {
        const std::vector<Points> patches = s.patches(x, h, w, l);
        for (int64_t o = 0; o < s.O; ++o) {
            const Points above =
                spread(kSums<7 - K>,
                       cut_out<7 - K>(dy.data() + o * s.out_H * s.out_W * s.lanes,
                                      s.out_H, s.out_W, h, w, l, s.lanes));
            for (int64_t c = 0; c < s.C; ++c)
                add_products(above, patches[size_t(c)], sums[size_t(o * s.C + c)]);
        }
    });
    Doubles dw(s.O * s.C * int64_t(K * K));
    for (size_t k = 0; k < sums.size(); ++k) {
        const Matrix<K, K> taps = gather(kKernels<K>, sums[k]);
        for (size_t t = 0; t < K * K; ++t)
            dw[int64_t(k * K * K + t)] = taps[t / K][t % K];
    }
    return dw;
}

}  // namespace

void Checker::winograd(Sampler& sample) {
    if (sample.between(0, 2)) {
        winograd<3>(sample);
    } else {
        winograd<5>(sample);
    }
}

template <size_t K>
void Checker::winograd(Sampler& sample) {
    constexpr int64_t taps = K * K;
    WinogradShape shape{};
    ConvShape& s = shape.conv;
    const int64_t most = sample.between(0, 1) ? 6 : 33;
    s.C = sample.between(1, most);
    s.O = sample.between(1, most);
    s.KH = s.KW = K;
    s.stride_h = s.stride_w = s.dilation_h = s.dilation_w = s.groups = 1;
    s.OH = sample.between(1, 13);
    s.OW = sample.between(1, 13);
    s.H = s.OH + K - 1;
    s.W = s.OW + K - 1;
    // The whole input, or what padding leaves of it.
    shape.top = sample.between(0, K / 2);
    shape.left = sample.between(0, K / 2);
    shape.rows = s.H - shape.top - sample.between(0, K / 2);
    shape.columns = s.W - shape.left - sample.between(0, K / 2);
    const std::string name = " kernel=" + std::to_string(K) +
                             " C=" + std::to_string(s.C) + " O=" + std::to_string(s.O) +
                             " out=" + std::to_string(s.OH) + "x" +
                             std::to_string(s.OW);
    const Floats x(s.C * s.H * s.W * lanes_, sample), w(s.O * s.C * taps, sample);
    const Floats bias(s.O, sample), dy(s.O * s.OH * s.OW * lanes_, sample);
    const bool biased = sample.between(0, 1);
    const Doubles X = widen(x), W = widen(w), B = widen(bias), DY = widen(dy);
    const Doubles aX = widen(x, true), aW = widen(w, true), aDY = widen(dy, true);
    std::vector<Matrix<K, K>> kernels(size_t(s.O * s.C)), turned(kernels.size());
    for (int64_t i = 0; i < w.count(); ++i) {
        const int64_t o = i / taps / s.C, c = i / taps % s.C;
        const size_t t = size_t(i % taps), back = K * K - 1 - t;
        kernels[size_t(i / taps)][t / K][t % K] = aW[i];
        turned[size_t(c * s.O + o)][back / K][back % K] = aW[i];
    }
    Floats scratch(winograd_scratch(s), 7.0f);

    Floats y(dy.count(), 7.0f);
    Doubles Y(dy.count());
    fast_.winograd_forward(shape, x.data(), w.data(), biased ? bias.data() : nullptr,
                           y.data(), scratch.data());
    wide_.winograd_forward(shape, X.data(), W.data(), biased ? B.data() : nullptr,
                           Y.data(), nullptr);
    const Pass<K> forward = {s.C,  s.H, s.W, 0,    0,    s.O,   s.OH,
                             s.OW, 0,   0,   s.OH, s.OW, lanes_};
    Doubles terms = terms_of_pass(forward, aX, kernels);
    for (int64_t i = 0; biased && i < terms.count(); ++i)
        terms[i] += std::fabs(B[i / (s.OH * s.OW * lanes_)]);
    compare_sums("winograd_forward" + name, y, Y, terms, s.C + kRoundings);

    Floats dx(x.count(), 7.0f);
    Doubles DX(x.count());
    fast_.winograd_input_gradient(shape, 0, s.C, w.data(), dy.data(), dx.data(),
                                  scratch.data());
    wide_.winograd_input_gradient(shape, 0, s.C, W.data(), DY.data(), DX.data(),
                                  nullptr);
    const Pass<K> backward = {s.O,
                              s.OH,
                              s.OW,
                              shape.top - int64_t(K - 1),
                              shape.left - int64_t(K - 1),
                              s.C,
                              s.H,
                              s.W,
                              shape.top,
                              shape.left,
                              shape.rows,
                              shape.columns,
                              lanes_};
    compare_sums("winograd_input_gradient" + name, dx, DX,
                 terms_of_pass(backward, aDY, turned), s.O + kRoundings);

    // Added to what is there: a value of 0.25 stands for it.
    Floats dw(w.count(), 0.25f), db(s.O, 0.25f);
    Doubles DW(w.count(), 0.25), DB(s.O, 0.25), aDB(s.O, 0.25);
    fast_.winograd_weight_gradient(shape, x.data(), dy.data(), dw.data(), db.data(),
                                   scratch.data());
    wide_.winograd_weight_gradient(shape, X.data(), DY.data(), DW.data(), DB.data(),
                                   nullptr);
    terms = terms_of_weights(forward, aX, aDY);
    const int64_t tiles =
        (s.OH + forward.M - 1) / forward.M * ((s.OW + forward.M - 1) / forward.M);
    for (int64_t i = 0; i < terms.count(); ++i) terms[i] += 0.25;
    for (int64_t i = 0; i < dy.count(); ++i) aDB[i / (s.OH * s.OW * lanes_)] += aDY[i];
    compare_sums("winograd_weight_gradient" + name, dw, DW, terms,
                 tiles * lanes_ + kRoundings);
    compare_sums("winograd bias gradient" + name, db, DB, aDB,
                 s.OH * s.OW * lanes_ + 1);
    // Threads share a convolution by its channels: the bits must not show it.
    const int64_t cut = s.C / 2, cut_out = s.O / 2, pixels = s.OH * s.OW * lanes_;
    Floats Y2(y.count(), 7.0f), DX2(x.count(), 7.0f), DW2(dw.count(), 0.25f);
    for (const auto& [first, last] : {std::pair{int64_t(0), cut_out}, {cut_out, s.O}}) {
        if (first == last) continue;
        WinogradShape part = shape;
        part.conv.O = last - first;
        fast_.winograd_forward(part, x.data(), w.data() + first * s.C * int64_t(K * K),
                               biased ? bias.data() + first : nullptr,
                               Y2.data() + first * pixels, scratch.data());
        fast_.winograd_weight_gradient(part, x.data(), dy.data() + first * pixels,
                                       DW2.data() + first * s.C * int64_t(K * K),
                                       nullptr, scratch.data());
    }
    compare_bits("winograd_forward by channels" + name, Y2, y);
    compare_bits("winograd_weight_gradient by channels" + name, DW2, dw);
    for (const auto& [first, last] : {std::pair{int64_t(0), cut}, {cut, s.C}})
        if (first < last)
            fast_.winograd_input_gradient(shape, first, last, w.data(), dy.data(),
                                          DX2.data() + first * s.H * s.W * lanes_,
                                          scratch.data());
    compare_bits("winograd_input_gradient by channels" + name, DX2, dx);
    if (!scratch.intact()) fail("winograd wrote outside of its scratch memory" + name);
}

}  // namespace striate
