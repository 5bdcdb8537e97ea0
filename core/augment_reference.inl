// The reference twins of augment.inl.

// Wellons' lowbias32: every bit of the result depends on every bit of x.
uint32_t mixed_bits(uint32_t x) {
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

// The four weights of a cubic B-spline at a position in its cell; returns the cell.
int64_t spline_weights(double position, double* weights) {
    const int64_t cell = int64_t(position);
    const double u = position - double(cell), v = 1.0 - u;
    weights[0] = v * v * v / 6.0;
    weights[1] = (4.0 - 6.0 * u * u + 3.0 * u * u * u) / 6.0;
    weights[2] = (4.0 - 6.0 * v * v + 3.0 * v * v * v) / 6.0;
    weights[3] = u * u * u / 6.0;
    return cell;
}

template <class T, int L>
double displacement(const Warp<T>& warp, int axis, int64_t h, int64_t w, int lane) {
    double down[4], across[4], sum = 0.0;
    const int64_t row = spline_weights(double(h) / warp.spacing, down);
    const int64_t column = spline_weights(double(w) / warp.spacing, across);
    for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) {
            const int64_t at = (axis * warp.GH + row + i) * warp.GW + column + j;
            sum += down[i] * across[j] * double(warp.grid[at * L + lane]);
        }
    return sum;
}

template <class T, int L>
void resample(const PixelShape& s, const Warp<T>& warp, const T* frame, T* x) {
    const int64_t FH = s.H + 3, FW = s.W + 3;
    for (int64_t h = 0; h < s.H; ++h)
        for (int64_t w = 0; w < s.W; ++w)
            for (int l = 0; l < L; ++l) {
                double at[2];
                for (int axis = 0; axis < 2; ++axis) {
                    const T* map = warp.map + 3 * axis * L + l;
                    at[axis] = double(map[0]) * double(h) + double(map[L]) * double(w) +
                               double(map[2 * L]);
                    if (warp.grid) at[axis] += displacement<T, L>(warp, axis, h, w, l);
                    const double last = double(axis ? s.W : s.H) + 1.0;
                    at[axis] = std::fmin(std::fmax(at[axis], 0.0), last);
                }
                const int64_t row = int64_t(at[0]), column = int64_t(at[1]);
                const double down = at[0] - double(row);
                const double across = at[1] - double(column);
                for (int64_t c = 0; c < s.C; ++c) {
                    const auto pixel = [&](int64_t i, int64_t j) {
                        const int64_t place = (c * FH + row + i) * FW + column + j;
                        return double(frame[place * L + l]);
                    };
                    const double top =
                        pixel(0, 0) + across * (pixel(0, 1) - pixel(0, 0));
                    const double low =
                        pixel(1, 0) + across * (pixel(1, 1) - pixel(1, 0));
                    x[((c * s.H + h) * s.W + w) * L + l] = T(top + down * (low - top));
                }
            }
}

template <class T, int L>
void adjust(const PixelShape& s, const Adjustment<T>& rule, T* x) {
    const int64_t pixels = s.H * s.W;
    for (int64_t i = 0; i < pixels; ++i)
        for (int l = 0; l < L; ++l) {
            const auto value = [&](int64_t c) -> T& {
                return x[(c * pixels + i) * L + l];
            };
            if (rule.tint) {
                double mixed[3] = {};
                for (int64_t c = 0; c < 3; ++c)
                    for (int64_t k = 0; k < 3; ++k)
                        mixed[c] +=
                            double(rule.tint[(c * 3 + k) * L + l]) * double(value(k));
                for (int64_t c = 0; c < 3; ++c) value(c) = T(mixed[c]);
            }
            const int64_t h = i / s.W, w = i % s.W;
            const int32_t* box = rule.box + l;
            const bool erased =
                h >= box[0] && h < box[L] && w >= box[2 * L] && w < box[3 * L];
            for (int64_t c = 0; c < s.C; ++c) {
                double v = double(rule.gain[l]) * double(value(c)) +
                           double(rule.offset[c * L + l]);
                if (rule.noise) {
                    const uint32_t bits =
                        mixed_bits(rule.noise_key[l] + uint32_t(c * pixels + i));
                    const uint32_t sum = (bits & 255) + (bits >> 8 & 255) +
                                         (bits >> 16 & 255) + (bits >> 24);
                    v += double(rule.noise[c]) * (double(sum) - 510.0);
                }
                v = std::fmin(std::fmax(v, double(rule.low[c])), double(rule.high[c]));
                value(c) = erased ? T(0) : T(v);
            }
        }
}

template <class T, int L>
void blend(int64_t count, const T* share, const T* other, T* x) {
    for (int64_t i = 0; i < count * L; ++i)
        x[i] =
            T(double(x[i]) + double(share[i % L]) * (double(other[i]) - double(x[i])));
}
