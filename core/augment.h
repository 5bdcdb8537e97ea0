// Augmentation: what each training image looks like in an epoch, drawn from seed, epoch
// and image alone, so that any thread makes the same image.
//
// Geometry is one map from the pixels of the input to those of the image, so that every
// image is sampled once; then values change; then images are mixed in pairs.
#pragma once

#include <vector>

#include "plan.h"

namespace striate {

// How far each setting may go; 0 for not at all. Lengths are shares of the image's
// sides (of the shorter one where there is one number for both), angles are in radians,
// noise is a share of the range from black to white.
struct Augmentation {
    double shift = 0.0, rotation = 0.0, scale = 0.0, shear = 0.0, crop = 0.0;
    double elastic = 0.0, elastic_sigma = 0.0;  // root mean square, and smoothness
    bool flip_horizontal = false, flip_vertical = false;
    bool replicate = false;  // beyond the input: its edge, not the background
    double brightness = 0.0, contrast = 0.0, saturation = 0.0, hue = 0.0;
    double noise = 0.0;   // standard deviation
    double cutout = 0.0;  // side of the square
    double mixup = 0.0;   // alpha of the Beta distribution

    bool moves() const {
        return shift > 0.0 || rotation > 0.0 || scale > 0.0 || shear > 0.0 ||
               crop > 0.0 || elastic > 0.0 || flip_horizontal || flip_vertical;
    }
    bool tints() const { return saturation > 0.0 || hue > 0.0; }
    bool adjusts() const {
        return brightness > 0.0 || contrast > 0.0 || tints() || noise > 0.0 ||
               cutout > 0.0;
    }
    bool mixes() const { return mixup > 0.0; }
};

// Which image each of a block was mixed with, and its share, at most a half.
template <class T>
struct Mixing {
    int64_t partner[kMostLanes];
    alignas(64) T share[kMostLanes];
};

// Makes augmented blocks; one for each thread, with the memory it needs.
template <class T>
class Augmenter {
  public:
    // Settings, source and weights outlive it; the source must hold pixels. Images of
    // weight 0 are never mixed into others; null: all count.
    Augmenter(const Augmentation& settings, uint64_t seed, uint64_t epoch,
              const Source<T>& source, const float* sample_weights,
              const Kernels<T>& kernels);
    // What the kernels are given points into it.
    Augmenter(const Augmenter&) = delete;
    Augmenter& operator=(const Augmenter&) = delete;

    // x[C][H][W][L] of the images named by row[L], mixed as is left in `mixing`.
    void load(const int64_t* row, T* x, Mixing<T>& mixing);

  private:
    void make(const int64_t* row, T* x);
    void draw_map(int64_t image, int lane);
    void draw_grid(int64_t image, int lane);
    void measure_grey(const T* x);
    void draw_adjustment(int64_t image, int lane);
    void draw_partner(int64_t image, int lane, Mixing<T>& mixing) const;
    void replicate_edges();

    // What the table makes of black, and of the way from there to white.
    double black(int64_t c) const { return double(source_.table[c * 256]); }
    double range(int64_t c) const {
        return double(source_.table[c * 256 + 255]) - black(c);
    }

    const Augmentation& settings_;
    const uint64_t seed_, stream_;
    const Source<T>& source_;
    const float* sample_weights_;
    const Kernels<T>& kernels_;
    const int lanes_;
    PixelShape framed_;  // the source's shape, with a margin around the input
    AlignedArray<T> frame_, map_, grid_, tint_, offset_, ranges_, other_;
    Warp<T> warp_{};
    Adjustment<T> rule_{};
    double grey_[kMostLanes] = {};
    alignas(64) T gain_[kMostLanes] = {};
    alignas(64) uint32_t noise_key_[kMostLanes] = {};
    int32_t box_[4 * kMostLanes] = {};
};

// out[count][H][W][C]: what training sees of the images named by indices[count].
template <class T>
void make_augmented(const Augmentation& settings, uint64_t seed, uint64_t epoch,
                    const Source<T>& source, const Kernels<T>& kernels,
                    const int64_t* indices, int64_t count, T* out);

}  // namespace striate
