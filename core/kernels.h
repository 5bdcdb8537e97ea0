// The contract of the kernels: every operation on a block of images, with the letters
// and the shape of each argument. Each instruction set fills two tables, for blocks of
// 16 images and of 8; reference.cpp fills the same in plain loops for float and for
// double.
//
//   N   images (rows of image-major matrices)    O        output channels, or units
//   C   input channels                           KH, KW   kernel height and width
//   H W    input height and width                OH, OW   output height and width
//   D   inputs of a dense layer                  L        the lanes of a block, 16 or 8
//   P   pixels of a channel's plane, H W
//
// A block stores its images side by side: x[C][H][W][L] is L times a plain C,H,W
// array, its innermost index being the image. All block arrays are aligned to L floats.
// Convolution and pooling see padded inputs only: padding is a step of its own. What a
// kernel computes of some channels has the same bits as when it computes all of them.
#pragma once

#include <stdint.h>

namespace striate {

// Lanes of the largest blocks.
constexpr int kMostLanes = 16;

struct ConvShape {
    int64_t C, H, W;    // input, padding included
    int64_t O, OH, OW;  // output
    int64_t KH, KW, stride_h, stride_w, dilation_h, dilation_w, groups;
};

// A convolution with 3 x 3 or 5 x 5 kernels, stride 1, dilation 1 and one group,
// computed by Winograd's minimal filtering in tiles of 4 x 4 or 2 x 2 outputs.
struct WinogradShape {
    ConvShape conv;
    // The part of the input whose gradient is wanted: what padding added is not.
    int64_t top, left, rows, columns;
};

struct PoolShape {
    int64_t C, H, W, OH, OW, KH, KW, stride_h, stride_w;
};

// Normalisation of each channel; the first `real` lanes hold images of the batch, and
// epsilon is added to the variance before its root is taken.
struct NormShape {
    int64_t C, P;
    int real;
    double epsilon;
};

// How the pixels of one image become planes: value = table[c][pixel], the image
// placed with its corner at (top, left) of the H x W plane, fill[c] around it.
struct PixelShape {
    int64_t height, width, C;  // of the stored images, rows first, channels last
    int64_t H, W, top, left;   // of the network's input
};

// How a block's images are resampled, each by its own map: pixel (h, w) of the result
// comes from row map[0] h + map[1] w + map[2] and column map[3] h + map[4] w + map[5]
// of a frame, both moved by an elastic displacement: a cubic B-spline whose coefficient
// [k][l] stands at pixel ((k - 1) spacing, (l - 1) spacing) of the result.
template <class T>
struct Warp {
    const T* map;             // [6][L]
    const T* grid = nullptr;  // [2][GH][GW][L], rows then columns; null: none
    int64_t GH = 0, GW = 0;   // (side - 1) / spacing rounded down, plus 4
    double spacing = 1.0;     // in pixels
    T* scratch = nullptr;     // [2][GW][L]
};

// How values change without moving, in this order: tint mixes the three channels of
// colour images; x = gain x + offset + noise; limits; and a box in every channel is
// erased to 0. Noise is a sum of four random bytes less its mean 510, times noise[c].
template <class T>
struct Adjustment {
    const T* tint;              // [3][3][L]; null: none
    const T *gain, *offset;     // [L], [C][L]
    const T* noise;             // [C]; null: none
    const uint32_t* noise_key;  // [L]
    const T *low, *high;        // [C]
    const int32_t* box;         // [4][L]: top, bottom, left, right, the ends excluded
};

enum class Activation : int { relu, leaky_relu, tanh, sigmoid };

struct ActivationRule {
    Activation kind;
    double slope;   // leaky_relu: factor below zero
    double height;  // tanh: height * tanh(steepness * x); 1 and 1 for the plain one
    double steepness;
};

enum class Optimizer : int { sgd, adam, adamw };

// One update of every weight, as PyTorch defines it; corrections are 1 - beta^t.
struct UpdateRule {
    Optimizer kind;
    double learning_rate, momentum, weight_decay;
    bool nesterov;
    double beta1, beta2, epsilon, correction1, correction2;
    double gradient_scale;  // below 1 where the gradient's norm is clipped
};

template <class T>
struct Kernels {
    const char* name;
    int lanes;  // of its blocks

    // What the transforms of minimal filtering cost the forward pass for each channel
    // of either side, in multiply-adds: winograd.cpp decides by it where it pays
    double transforms;

    // y[O][OH][OW][L] = bias[O] + sum over c, kh, kw of
    //     w[O][C/groups][KH][KW] * x[C][H][W][L]; bias may be null. Here and below, y
    // is what the rectifier, relu or leaky_relu, makes of that, where it is not null
    void (*conv_forward)(const ConvShape&, const T* x, const T* w, const T* bias,
                         const ActivationRule* rectifier, T* y);
    // dx[last - first][H][W][L], the channels [first, last) of the input's gradient, is
    // overwritten; with groups they are all of them. Where a rectifier that is not null
    // put out the input, y is the input of these channels, and dx what it passes back
    void (*conv_input_gradient)(const ConvShape&, int64_t first, int64_t last,
                                const T* w, const T* dy,
                                const ActivationRule* rectifier, const T* y, T* dx);
    // dw[O][C/groups][KH][KW] and db[O] (may be null) are added to
    void (*conv_weight_gradient)(const ConvShape&, const T* x, const T* dy, T* dw,
                                 T* db);

    // The same by minimal filtering, in `scratch` of winograd_scratch(conv) values
    // (see winograd.h); dx is zero outside of the part that is wanted
    void (*winograd_forward)(const WinogradShape&, const T* x, const T* w,
                             const T* bias, T* y, T* scratch);
    void (*winograd_input_gradient)(const WinogradShape&, int64_t first, int64_t last,
                                    const T* w, const T* dy, T* dx, T* scratch);
    void (*winograd_weight_gradient)(const WinogradShape&, const T* x, const T* dy,
                                     T* dw, T* db, T* scratch);

    // winner[C][OH][OW][L]: kh * KW + kw of the maximum, the first in row-major order;
    // may be null where no gradient is wanted
    void (*max_pool_forward)(const PoolShape&, const T* x, T* y, int32_t* winner);
    // dx is what a rectifier before the pool, if not null, passes back: the maximum y
    // tells that as well as what it was taken from
    void (*max_pool_backward)(const PoolShape&, const int32_t* winner,
                              const ActivationRule* rectifier, const T* y, const T* dy,
                              T* dx);
    void (*average_pool_forward)(const PoolShape&, const T* x, T* y);
    void (*average_pool_backward)(const PoolShape&, const T* dy, T* dx);

    // y[O][L] = bias[O] + w[O][D] x[D][L]; bias may be null
    void (*dense_forward)(int64_t D, int64_t O, const T* x, const T* w, const T* bias,
                          const ActivationRule* rectifier, T* y);
    // dx[last - first][L], the rows [first, last) of transposed w[O][D] dy[O][L]
    void (*dense_input_gradient)(int64_t D, int64_t O, int64_t first, int64_t last,
                                 const T* w, const T* dy, T* dx);
    // Rows [first, last) of dw[O][D] and db[O] (may be null), overwritten, from the
    // image-major copies of a whole batch: x[N][x_stride] and dy[N][dy_stride], strides
    // multiples of 16, columns beyond D zero.
    void (*dense_weight_gradient)(int64_t N, int64_t D, int64_t first, int64_t last,
                                  const T* x, int64_t x_stride, const T* dy,
                                  int64_t dy_stride, T* dw, T* db);

    // mean[C] and deviation[C], the sum of squared deviations from it, of the real
    // lanes of x[C][P][L]
    void (*norm_moments)(const NormShape&, const T* x, double* mean, double* deviation);
    // y = w (x - mean) / sqrt(variance + epsilon) + bias, each of the four [C]; in
    // place where y is x
    void (*norm_forward)(const NormShape&, const T* x, const T* mean, const T* variance,
                         const T* w, const T* bias, const ActivationRule* rectifier,
                         T* y);
    // db[C] = the sum of dy[C][P][L], dw[C] = that of dy times the normalised x; dy
    // must be zero in lanes without an image
    void (*norm_weight_gradient)(const NormShape&, const T* x, const T* mean,
                                 const T* variance, const T* dy, double* dw,
                                 double* db);
    // dy becomes dx = w / sqrt(variance + epsilon) * (dy - mean_db - normalised x *
    // mean_dw), zero in lanes without an image, where the statistics are those of the
    // batch and mean_dw[C] and mean_db[C] its sums divided by its values; both are null
    // for statistics that do not depend on x
    void (*norm_input_gradient)(const NormShape&, const T* x, const T* mean,
                                const T* variance, const T* w, const T* mean_dw,
                                const T* mean_db, T* dy);

    // One image alone, for inference: its activations are plain x[C][H][W] and have
    // room for kMostLanes values behind their end, which may be read and overwritten.
    // As conv_forward, dense_forward and the pools, one lane wide and without
    // rectifier; scratch has the room that single_scratch (single.h) tells
    void (*single_conv)(const ConvShape&, const T* x, const T* w, const T* bias, T* y,
                        T* scratch);
    void (*single_dense)(int64_t D, int64_t O, const T* x, const T* w, const T* bias,
                         T* y);
    void (*single_max_pool)(const PoolShape&, const T* x, T* y);
    void (*single_average_pool)(const PoolShape&, const T* x, T* y);
    // As norm_forward, but x[C][P] becomes y
    void (*single_norm)(const NormShape&, const T* mean, const T* variance, const T* w,
                        const T* bias, T* x);

    // A block with one image, to train on it: the three of conv_ where every lane of x
    // is that image and dy is zero but in the first lane; scratch has the room that
    // lone_scratch (single.h) tells
    void (*lone_forward)(const ConvShape&, const T* x, const T* w, const T* bias, T* y,
                         T* scratch);
    void (*lone_input_gradient)(const ConvShape&, int64_t first, int64_t last,
                                const T* w, const T* dy, T* dx, T* scratch);
    void (*lone_weight_gradient)(const ConvShape&, const T* x, const T* dy, T* dw,
                                 T* db, T* scratch);

    // y = a + b for count lanes-wide values; y may be a or b
    void (*add)(int64_t count, const T* a, const T* b, const ActivationRule* rectifier,
                T* y);
    // y = f(x) for count lanes-wide values; y may be x
    void (*activation_forward)(const ActivationRule&, int64_t count, const T* x, T* y);
    // dy becomes dx, from the activation's output y
    void (*activation_backward)(const ActivationRule&, int64_t count, const T* y,
                                T* dy);

    // For each lane: loss = -sum_k q[k] log softmax(logits)[k], with q = 1 - smoothing
    // on the label plus smoothing / classes everywhere; gradient[classes][L] is weight
    // times its derivative. A negative label masks the lane. Mixed images: partners[L]
    // are the labels that take shares[L] of the label's part of q; null for none.
    void (*softmax_cross_entropy)(int64_t classes, const T* logits,
                                  const int32_t* labels, const int32_t* partners,
                                  const T* shares, const T* weights, double smoothing,
                                  T* gradient, double* loss, int32_t* correct);
    void (*softmax)(int64_t classes, const T* logits, T* probabilities);

    // x[C][H][W][L] from images[L]; table[C][256], fill[C]
    void (*gather_pixels)(const PixelShape&, const uint8_t* const* images,
                          const float* table, const float* fill, T* x);
    // x[C][H][W][L] from frame[C][H + 3][W + 3][L], whose pixel (1, 1) is the input's
    // first: bilinear, coordinates limited to rows 0 ... H + 1 and columns 0 ... W + 1
    void (*resample)(const PixelShape&, const Warp<T>&, const T* frame, T* x);
    // x[C][H][W][L] in place
    void (*adjust)(const PixelShape&, const Adjustment<T>&, T* x);
    // x[count][L] += share[L] * (other[count][L] - x)
    void (*blend)(int64_t count, const T* share, const T* other, T* x);
    // rows[L][stride] (image-major) from x[count][L], and back
    void (*lanes_to_rows)(int64_t count, const T* x, T* rows, int64_t stride);

    double (*sum_squares)(int64_t count, const T* x);
    // sum[count] = the slices' buffers added in their order; returns the sum of squares
    double (*sum_slices)(int64_t count, int64_t slices, const T* const* parts, T* sum);
    // w, gradient, state0 and state1 of count weights; states may be null where unused
    void (*update)(const UpdateRule&, int64_t count, T* w, const T* gradient, T* state0,
                   T* state1);
    // average += share (w - average) for count weights
    void (*average)(double share, int64_t count, const T* w, T* average);
};

// The two tables of an instruction set. Where the processor multiplies and adds 8 lanes
// twice a cycle, or 16 once, a block of 8 takes half as long as one of 16; nowhere does
// it take longer.
template <class T>
struct KernelSet {
    const Kernels<T>&wide, &narrow;
    // For blocks of a call or a batch of so many images: as many alone decide, so that
    // the same bits come of any number of threads.
    const Kernels<T>& of(int64_t images) const {
        return images <= narrow.lanes ? narrow : wide;
    }
};

}  // namespace striate
