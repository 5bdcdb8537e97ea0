// One instruction set's table of kernels. This file is compiled twice per instruction
// set, with its flags and name (STRIATE_ISA) and for each number of STRIATE_LANES;
// everything inside is static in a namespace of its own, and no standard-library
// template is used, so that the linker has nothing to merge between code that runs
// everywhere and code that does not.
#include <math.h>
#include <string.h>

#include "kernels.h"
#include "winograd.h"

#define STRIATE_TEXT_(name) #name
#define STRIATE_TEXT(name) STRIATE_TEXT_(name)
#define STRIATE_JOINED_(name, lanes) name##_##lanes
#define STRIATE_JOINED(name, lanes) STRIATE_JOINED_(name, lanes)
#define STRIATE_TABLE STRIATE_JOINED(STRIATE_ISA, STRIATE_LANES)

namespace striate {
namespace STRIATE_TABLE {

#include "lanes.h"
#include "rectify.inl"
// The operations, in the order of a network.
#include "augment.inl"
#include "conv.inl"
#include "conv_gradients.inl"
#include "dense.inl"
#include "input.inl"
#include "norm.inl"
#include "pointwise.inl"
#include "pool.inl"
#include "single.inl"
#include "winograd.inl"
#include "winograd_gradients.inl"
// Of what stands above.
#include "lone.inl"

extern const Kernels<float> table;
const Kernels<float> table = {
    STRIATE_TEXT(STRIATE_ISA),
    kLanes,
    kTransforms,
    conv_forward,
    conv_input_gradient,
    conv_weight_gradient,
    winograd_forward,
    winograd_input_gradient,
    winograd_weight_gradient,
    max_pool_forward,
    max_pool_backward,
    average_pool_forward,
    average_pool_backward,
    dense_forward,
    dense_input_gradient,
    dense_weight_gradient,
    norm_moments,
    norm_forward,
    norm_weight_gradient,
    norm_input_gradient,
    single_conv,
    single_dense,
    single_max_pool,
    single_average_pool,
    single_norm,
    lone_forward,
    lone_input_gradient,
    lone_weight_gradient,
    add,
    activation_forward,
    activation_backward,
    softmax_cross_entropy,
    softmax,
    gather_pixels,
    resample,
    adjust,
    blend,
    lanes_to_rows,
    sum_squares,
    sum_slices,
    update,
    average,
};

}  // namespace STRIATE_TABLE
}  // namespace striate
