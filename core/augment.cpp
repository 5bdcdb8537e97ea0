#include "augment.h"

#include <algorithm>
#include <cmath>

#include "random.h"

namespace striate {

namespace {

// Dropout and Python draw from the streams below.
constexpr uint64_t kAugmentationStreams = uint64_t(1) << 63;

// What an image draws, four words at a slot: a place for each setting, so that adding
// one setting changes nothing of the others.
enum Slot : uint64_t {
    kPlacing = 0,    // shift down, shift right, rotation, scale
    kFraming = 1,    // shear, flips, kept side of the crop, its place down
    kColouring = 2,  // the crop's place across, brightness, contrast, saturation
    kCovering = 3,   // hue, the square's place down and across, key of the noise
    kPartner = 4,
    kMixing = 64,  // a pair of words for each trial
    kGrid = 256
};
constexpr int kTrials = 64;

RandomWords draw(uint64_t seed, uint64_t stream, int64_t image, uint64_t slot) {
    return random_words(seed, stream, uint64_t(image) << 24 | slot);
}

double share_of(uint32_t word) { return (double(word) + 0.5) * 0x1p-32; }  // 0 ... 1
double sign_of(uint32_t word) { return 2.0 * share_of(word) - 1.0; }       // -1 ... 1

int64_t shorter_side(const PixelShape& s) { return std::min(s.height, s.width); }

// A cubic B-spline's own spread is a third of its spacing squared: this spacing gives a
// field as smooth as white noise under a Gaussian of that sigma (Simard, Steinkraus and
// Platt 2003), from a few points in place of a filter over every pixel.
double spacing_of(const Augmentation& settings, const PixelShape& s) {
    const double sigma = settings.elastic_sigma * double(shorter_side(s));
    return std::max(1.0, std::sqrt(3.0) * sigma);
}

int64_t points(int64_t side, double spacing) {
    return int64_t(double(side - 1) / spacing) + 4;
}

// Of the matrices of saturate and hueRotate, W3C Filter Effects: how grey a colour is,
// and the way around the circle of colours.
constexpr double kGrey[3] = {0.213, 0.715, 0.072};
constexpr double kTurn[3][3] = {
    {-0.213, -0.715, 0.928}, {0.143, 0.140, -0.283}, {-0.787, 0.715, 0.072}};

// What channel c takes of channel k: hueRotate times saturate.
double tint(double saturation, double hue, int64_t c, int64_t k) {
    const double own = (c == k ? 1.0 : 0.0) - kGrey[k];
    return kGrey[k] + saturation * (std::cos(hue) * own + std::sin(hue) * kTurn[c][k]);
}

}  // namespace

template <class T>
Augmenter<T>::Augmenter(const Augmentation& settings, uint64_t seed, uint64_t epoch,
                        const Source<T>& source, const float* sample_weights,
                        const Kernels<T>& kernels)
    : settings_(settings),
      seed_(seed),
      stream_(kAugmentationStreams | epoch),
      source_(source),
      sample_weights_(sample_weights),
      kernels_(kernels),
      lanes_(kernels.lanes),
      framed_(source.shape) {
    const PixelShape& s = source.shape;
    framed_.H += 3;
    framed_.W += 3;
    framed_.top += 1;
    framed_.left += 1;
    if (settings.moves()) {
        frame_ = allocate<T>(s.C * framed_.H * framed_.W * lanes_);
        map_ = allocate<T>(6 * lanes_);
        warp_.map = map_.get();
    }
    if (settings.elastic > 0.0) {
        warp_.spacing = spacing_of(settings, s);
        warp_.GH = points(s.H, warp_.spacing);
        warp_.GW = points(s.W, warp_.spacing);
        grid_ = allocate<T>(2 * (warp_.GH + 1) * warp_.GW * lanes_);
        warp_.grid = grid_.get();
        warp_.scratch = grid_.get() + 2 * warp_.GH * warp_.GW * lanes_;
    }
    if (settings.adjusts()) {
        if (settings.tints()) tint_ = allocate<T>(9 * lanes_);
        offset_ = allocate<T>(s.C * lanes_);
        ranges_ = allocate<T>(3 * s.C);
        T *low = ranges_.get(), *high = low + s.C, *noise = high + s.C;
        for (int64_t c = 0; c < s.C; ++c) {
            low[c] = T(black(c));
            high[c] = T(black(c) + range(c));
            // The sum of four bytes has the variance 4 (256^2 - 1) / 12 = 21845.
            noise[c] = T(settings.noise * range(c) / std::sqrt(21845.0));
        }
        if (settings.noise == 0.0) noise = nullptr;
        rule_ = {tint_.get(), gain_, offset_.get(), noise, noise_key_, low, high, box_};
    }
    if (settings.mixes()) other_ = allocate<T>(s.C * s.H * s.W * lanes_);
}

template <class T>
void Augmenter<T>::load(const int64_t* row, T* x, Mixing<T>& mixing) {
    make(row, x);
    if (!settings_.mixes()) return;
    for (int l = 0; l < lanes_; ++l) draw_partner(row[l], l, mixing);
    make(mixing.partner, other_.get());
    const PixelShape& s = source_.shape;
    kernels_.blend(s.C * s.H * s.W, mixing.share, other_.get(), x);
}

template <class T>
void Augmenter<T>::make(const int64_t* row, T* x) {
    const PixelShape& s = source_.shape;
    const uint8_t* images[kMostLanes];
    for (int l = 0; l < lanes_; ++l)
        images[l] = source_.pixels + row[l] * s.height * s.width * s.C;
    if (settings_.moves()) {
        for (int l = 0; l < lanes_; ++l) draw_map(row[l], l);
        if (warp_.grid)
            for (int l = 0; l < lanes_; ++l) draw_grid(row[l], l);
        kernels_.gather_pixels(framed_, images, source_.table, source_.fill,
                               frame_.get());
        if (settings_.replicate) replicate_edges();
        kernels_.resample(s, warp_, frame_.get(), x);
    } else {
        kernels_.gather_pixels(s, images, source_.table, source_.fill, x);
    }
    if (settings_.adjusts()) {
        if (settings_.contrast > 0.0) measure_grey(x);
        for (int l = 0; l < lanes_; ++l) draw_adjustment(row[l], l);
        kernels_.adjust(s, rule_, x);
    }
}

// With p a place in the result and c the image's centre, the crop keeps a part of the
// result, q = keep (p - c) + corner, and that shows the image's place
// c + flip / zoom * unshear * unrotate * (q - shift).
template <class T>
void Augmenter<T>::draw_map(int64_t image, int lane) {
    const RandomWords placing = draw(seed_, stream_, image, kPlacing);
    const RandomWords framing = draw(seed_, stream_, image, kFraming);
    const RandomWords colouring = draw(seed_, stream_, image, kColouring);
    const PixelShape& s = source_.shape;
    const double height = double(s.height), width = double(s.width);
    const double keep = 1.0 - settings_.crop * share_of(framing.word[2]);
    const double spare = (1.0 - keep) / 2.0;
    const double center_h = double(s.top) + (height - 1.0) / 2.0;
    const double center_w = double(s.left) + (width - 1.0) / 2.0;
    const double from_h = spare * height * sign_of(framing.word[3]) - keep * center_h -
                          settings_.shift * height * sign_of(placing.word[0]);
    const double from_w = spare * width * sign_of(colouring.word[0]) - keep * center_w -
                          settings_.shift * width * sign_of(placing.word[1]);
    const double angle = settings_.rotation * sign_of(placing.word[2]);
    const double slant = std::tan(settings_.shear * sign_of(framing.word[0]));
    const double zoom = std::pow(1.0 + settings_.scale, sign_of(placing.word[3]));
    const uint32_t coins = framing.word[1];
    const double rows = (settings_.flip_vertical && (coins & 1) ? -1.0 : 1.0) / zoom;
    const double columns =
        (settings_.flip_horizontal && (coins & 2) ? -1.0 : 1.0) / zoom;
    const double cosine = std::cos(angle), sine = std::sin(angle);
    const double hh = rows * cosine, hw = rows * sine;
    const double wh = columns * (slant * cosine - sine);
    const double ww = columns * (cosine + slant * sine);
    // The frame has one pixel more above and left of the input.
    const double map[6] = {
        keep * hh, keep * hw, hh * from_h + hw * from_w + center_h + 1.0,
        keep * wh, keep * ww, wh * from_h + ww * from_w + center_w + 1.0};
    for (int i = 0; i < 6; ++i) map_[size_t(i * lanes_ + lane)] = T(map[i]);
}

// Uniform coefficients of the size that gives the field its root mean square: along
// each axis a cubic B-spline keeps 151 / 315 of the variance of its coefficients.
template <class T>
void Augmenter<T>::draw_grid(int64_t image, int lane) {
    const double amplitude = settings_.elastic * double(shorter_side(source_.shape)) *
                             std::sqrt(3.0) * 315.0 / 151.0;
    RandomWords random{};
    for (int64_t i = 0; i < 2 * warp_.GH * warp_.GW; ++i) {
        if (i % 4 == 0) random = draw(seed_, stream_, image, kGrid + uint64_t(i) / 4);
        grid_[size_t(i * lanes_ + lane)] = T(amplitude * sign_of(random.word[i % 4]));
    }
}

// grey_[L]: the mean grey of each image, 0 for black to 1 for white.
template <class T>
void Augmenter<T>::measure_grey(const T* x) {
    const PixelShape& s = source_.shape;
    const int64_t pixels = s.H * s.W;
    std::fill_n(grey_, lanes_, 0.0);
    for (int64_t c = 0; c < s.C; ++c) {
        double sums[kMostLanes] = {};
        for (int64_t i = 0; i < pixels; ++i)
            for (int l = 0; l < lanes_; ++l) sums[l] += double(*x++);
        const double weight = s.C == 3 ? kGrey[c] : 1.0 / double(s.C);
        for (int l = 0; l < lanes_; ++l)
            grey_[l] += weight * (sums[l] / double(pixels) - black(c)) / range(c);
    }
}

// Colours change as pixels do: p becomes m + contrast (exposure M p - m), with M the
// tint and m what the image's mean grey becomes. Value c is black + range p, so that of
// value k it takes range[c] / range[k] M[c][k].
template <class T>
void Augmenter<T>::draw_adjustment(int64_t image, int lane) {
    const RandomWords colouring = draw(seed_, stream_, image, kColouring);
    const RandomWords covering = draw(seed_, stream_, image, kCovering);
    const PixelShape& s = source_.shape;
    const double exposure = 1.0 + settings_.brightness * sign_of(colouring.word[1]);
    const double contrast = 1.0 + settings_.contrast * sign_of(colouring.word[2]);
    const double saturation = 1.0 + settings_.saturation * sign_of(colouring.word[3]);
    const double hue = settings_.hue * sign_of(covering.word[0]);
    const double gain = contrast * exposure;
    const double mean = exposure * grey_[lane];
    gain_[lane] = T(gain);
    for (int64_t c = 0; c < s.C; ++c) {
        double toned = black(c);  // what the tint makes of the values of black
        if (settings_.tints()) {
            toned = 0.0;
            for (int64_t k = 0; k < 3; ++k) {
                const double factor = tint(saturation, hue, c, k) * range(c) / range(k);
                tint_[size_t((c * 3 + k) * lanes_ + lane)] = T(factor);
                toned += factor * black(k);
            }
        }
        offset_[size_t(c * lanes_ + lane)] =
            T(black(c) + range(c) * (1.0 - contrast) * mean - gain * toned);
    }
    noise_key_[lane] = covering.word[3];
    const double side = std::round(settings_.cutout * double(shorter_side(s)));
    const auto cover = [&](int axis, double begin, int64_t length, int64_t input) {
        const double first = std::round(
            begin + share_of(covering.word[1 + axis]) * double(length) - side / 2.0);
        const double limit = double(input);
        box_[2 * axis * lanes_ + lane] = int32_t(std::clamp(first, 0.0, limit));
        box_[(2 * axis + 1) * lanes_ + lane] =
            int32_t(std::clamp(first + side, 0.0, limit));
    };
    cover(0, double(s.top), s.height, s.H);
    cover(1, double(s.left), s.width, s.W);
}

// A share from Beta(alpha, alpha) by Jöhnk's method, in logarithms because powers of
// 1 / alpha leave the range of numbers. The image keeps the larger part of the mixture.
template <class T>
void Augmenter<T>::draw_partner(int64_t image, int lane, Mixing<T>& mixing) const {
    const RandomWords random = draw(seed_, stream_, image, kPartner);
    const uint64_t bits = uint64_t(random.word[0]) << 32 | random.word[1];
    mixing.partner[lane] = int64_t(bits % uint64_t(source_.count));
    double share = 0.0;
    for (uint64_t trial = 0; trial < kTrials; ++trial) {
        const RandomWords pair = draw(seed_, stream_, image, kMixing + trial);
        const double one = std::log(share_of(pair.word[0])) / settings_.mixup;
        const double two = std::log(share_of(pair.word[1])) / settings_.mixup;
        share = 1.0 / (1.0 + std::exp(two - one));
        if (std::exp(one) + std::exp(two) <= 1.0) break;
    }
    // An image that does not count must not come back inside another one.
    if (sample_weights_ && sample_weights_[mixing.partner[lane]] == 0.0f) share = 0.0;
    mixing.share[lane] = T(std::min(share, 1.0 - share));
}

// The frame's margin takes the values of the input's edge instead of the background.
template <class T>
void Augmenter<T>::replicate_edges() {
    const int64_t H = source_.shape.H, W = source_.shape.W, width = framed_.W * lanes_;
    for (int64_t c = 0; c < framed_.C; ++c) {
        T* plane = frame_.get() + c * framed_.H * width;
        for (int64_t h = 1; h <= H; ++h) {
            T* row = plane + h * width;
            std::copy_n(row + lanes_, lanes_, row);
            for (int64_t w = W + 1; w < W + 3; ++w)
                std::copy_n(row + W * lanes_, lanes_, row + w * lanes_);
        }
        std::copy_n(plane + width, width, plane);
        for (int64_t h = H + 1; h < H + 3; ++h)
            std::copy_n(plane + H * width, width, plane + h * width);
    }
}

template <class T>
void make_augmented(const Augmentation& settings, uint64_t seed, uint64_t epoch,
                    const Source<T>& source, const Kernels<T>& kernels,
                    const int64_t* indices, int64_t count, T* out) {
    const PixelShape& s = source.shape;
    const int64_t pixels = s.H * s.W;
    const int lanes = kernels.lanes;
    Augmenter<T> augmenter(settings, seed, epoch, source, nullptr, kernels);
    const AlignedArray<T> x = allocate<T>(s.C * pixels * lanes);
    Mixing<T> mixing;
    for (int64_t begin = 0; begin < count; begin += lanes) {
        int64_t row[kMostLanes];
        for (int l = 0; l < lanes; ++l)
            row[l] = indices[std::min(begin + l, count - 1)];
        augmenter.load(row, x.get(), mixing);
        for (int l = 0; l < lanes && begin + l < count; ++l)
            for (int64_t i = 0; i < pixels; ++i)
                for (int64_t c = 0; c < s.C; ++c)
                    out[((begin + l) * pixels + i) * s.C + c] =
                        x[(c * pixels + i) * lanes + l];
    }
}

template class Augmenter<float>;
template class Augmenter<double>;
template void make_augmented(const Augmentation&, uint64_t, uint64_t,
                             const Source<float>&, const Kernels<float>&,
                             const int64_t*, int64_t, float*);

}  // namespace striate
