// What a plan's steps make of a block for one purpose: the actions in their order, cut
// into chains, and where every value lies meanwhile.
//
// A chain carries a range of channels through several actions, so that threads can
// share a block. Whatever the range, a value has the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace striate {

struct Step;

// `forward` and `input` (the gradient of a step's input) are done to every step on the
// way, `weights` (the gradient of its weights) to convolutions and dense layers; what
// batch_norm needs to know of the batch is measured before its step, going up and down.
// `unload` hands out what was wanted, at the end.
enum class Act {
    load,
    forward,
    measure,
    loss,
    weights,
    input,
    measure_gradient,
    unload
};

// What becomes of the gradient found for a step: the first to arrive is put there,
// others are added.
enum class Delivery { none, put, add };

struct Action {
    Act act;
    size_t step = 0;
    Delivery source = Delivery::none, other = Delivery::none;  // of `input`
};

// The actions [first, last), all but the first of which compute a channel from the same
// channel before it alone. So do pooling, activations and the like; convolution and
// dense layers need all channels, and begin a chain.
struct Chain {
    size_t first, last;
    int64_t channels;  // into which all of it can be cut
    int64_t work;      // multiply-adds of a lane, or what takes as long
    bool merges;       // whether what blocks say about the batch is merged behind it
    bool filtered;     // by minimal filtering: each part transforms all of the input
};

// Channels [first, last) of the `of` that a chain has. Something of C channels takes
// the same share of them: after Flatten, a channel is as many as it had pixels.
struct Range {
    int64_t first, last, of;
    int64_t begin(int64_t C) const { return C / of * first; }
    int64_t size(int64_t C) const { return C / of * (last - first); }
};

// What relu and leaky_relu pass back: what arrives where their input was positive;
// where the gradient is positive, whatever the input was (Zeiler and Fergus, 2013); or
// where both are (Springenberg and others, 2014). Of the rest they pass on their
// slope's share.
enum class GradientRule { gradient, deconvolution, guided };

struct Purpose {
    size_t end;                  // forward through the steps [0, end)
    std::vector<size_t> wanted;  // steps whose outputs are unloaded
    bool backward = false;       // from the gradient of the last one's output
    int deepest = -1;            // to that of this step's output; -1: of the input
    bool learns = false;         // gradients of weights, and unloads nothing
    bool folds = false;          // batch_norm into the convolution before it
    GradientRule rule = GradientRule::gradient;
};

struct Program {
    std::vector<Action> actions;
    std::vector<Chain> chains;
    // Where numbers lie in a block's arena, counted in values that are as many lanes
    // wide as the block. By step + 1, so that the network's input
    // comes first: outputs and the gradients of outputs. By step: where the gradient of
    // its input is found, before it is delivered.
    std::vector<int64_t> values, gradients, found;
    // By step: the batch_norm that a convolution does as well, or 0 for none; and the
    // relu or leaky_relu that what stores the step's output applies to it.
    std::vector<size_t> folded, rectified;
    // By step, going back: the relu or leaky_relu before it that the gradient it finds
    // has passed as well, or 0 for none; and whether one has had that done for it.
    std::vector<size_t> beyond;
    std::vector<bool> passed;
    // By step: the max_pool that is taken together with a convolution, or 0 for none.
    std::vector<size_t> pooled;
    int64_t arena = 0;  // how many such values it holds
    bool backward = false;
    GradientRule rule = GradientRule::gradient;
};

// A convolution whose output only a max_pool reads, of windows side by side, is taken
// with it, a band of so many rows of the pool's output at a time, where all of what
// lies between the two would leave the second-level cache; 0: not so.
int64_t band_rows(const Step& conv, const Step& pool);
// Values of memory for a band, its gradient's way back included.
int64_t band_values(const Step& conv, const Step& pool);

// Throws std::invalid_argument where no gradient reaches the deepest step.
Program make_program(const std::vector<Step>& steps, const Purpose& purpose);

// A phase of a team's work: the chains [first, last), of which each block makes so many
// tasks.
struct Leg {
    size_t first, last;
    int64_t parts;
};

// With `split`, blocks are cut for so many threads wherever that is worth a phase of
// its own; otherwise a leg ends only where something is merged. Its work is
// that of so many lanes.
std::vector<Leg> legs_of(const Program& program, bool split, int threads, int lanes);

}  // namespace striate
