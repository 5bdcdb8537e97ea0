#include "program.h"

#include <algorithm>
#include <stdexcept>

#include "plan.h"

namespace striate {

namespace {

// Convolutions are fastest at four channels at a time.
constexpr int64_t kTile = 4;
// The work of a task that is worth a phase of its own, in single lanes: some three
// microseconds.
constexpr int64_t kTaskWork = 160000;

// What lies between a convolution and its pool: from how many bytes on it is taken by
// bands, and about how many a band has.
constexpr int64_t kWideMap = 1 << 20;
constexpr int64_t kBand = 256 << 10;

// A part of the arena, and the first and the last chain that touch it: those between
// may put nothing else there.
struct Buffer {
    int64_t count;
    size_t first, last;
    int64_t offset = 0;
};

class Builder {
  public:
    Builder(const std::vector<Step>& steps, const Purpose& purpose)
        : steps_(steps),
          purpose_(purpose),
          readers_(purpose.end + 1),
          done_(purpose.end),
          joined_(purpose.end),
          banded_(purpose.end) {
        program_.folded.resize(purpose.end);
        program_.rectified.resize(purpose.end);
        program_.beyond.resize(purpose.end);
        program_.passed.resize(purpose.end);
        program_.pooled.resize(purpose.end);
        for (size_t i = 0; i < purpose.end; ++i) {
            ++readers_[size_t(steps[i].source + 1)];
            if (steps[i].kind == Kind::add) ++readers_[size_t(steps[i].other + 1)];
        }
        if (purpose.folds) fold_norms();
        join_rectifiers();
        if (purpose.backward && purpose.rule == GradientRule::gradient) join_masks();
        join_pools();
        add_actions();
        cut_chains();
        share_values();
        if (purpose.backward) share_gradients();
        for (size_t i = 0; i < program_.chains.size(); ++i) note_touches(i);
        place_buffers();
        program_.values = offsets_of(values_);
        program_.gradients = offsets_of(gradients_);
        program_.found = offsets_of(found_);
        program_.backward = purpose.backward;
        program_.rule = purpose.rule;
    }

    Program program() && { return std::move(program_); }

  private:
    bool wanted(size_t step) const {
        return std::find(purpose_.wanted.begin(), purpose_.wanted.end(), step) !=
               purpose_.wanted.end();
    }
    int64_t count_of(size_t index) const {  // of step + 1
        return (index == 0 ? steps_[0].in : steps_[index - 1].out).count();
    }

    // ---- what is done ---------------------------------------------------------------

    // Whether a step puts out what it is given.
    bool identity(size_t step) const {
        const Kind kind = steps_[step].kind;
        return kind == Kind::flatten || done_[step] ||
               (kind == Kind::dropout && !purpose_.backward);
    }
    // The step before this one that computes something, where nobody else sees what
    // this one is given; -1 otherwise.
    int maker_before(size_t step) const {
        int source = steps_[step].source;
        const auto only = [&] {
            return source >= 0 && readers_[size_t(source + 1)] == 1 &&
                   !wanted(size_t(source));
        };
        while (only() && identity(size_t(source)) &&
               steps_[size_t(source)].kind != Kind::activation)
            source = steps_[size_t(source)].source;
        return only() ? source : -1;
    }

    // By running statistics a batch_norm multiplies channels and adds to them, which
    // the weights before it can do.
    void fold_norms() {
        for (size_t i = 0; i < purpose_.end; ++i) {
            if (steps_[i].kind != Kind::batch_norm) continue;
            const int maker = maker_before(i);
            if (maker < 0 || steps_[size_t(maker)].kind != Kind::conv ||
                steps_[size_t(maker)].out.C != steps_[i].in.C)
                continue;
            program_.folded[size_t(maker)] = i;
            done_[i] = true;
        }
    }

    // What relu and leaky_relu do costs next to nothing where the values are stored,
    // but filtering, which is short of registers there, would lose as much as the pass
    // takes.
    void join_rectifiers() {
        for (size_t i = 0; i < purpose_.end; ++i) {
            if (!steps_[i].rectifies()) continue;
            const int maker = maker_before(i);
            if (maker < 0) continue;
            const Step& made = steps_[size_t(maker)];
            if ((made.kind != Kind::conv || made.filtering.forward) &&
                made.kind != Kind::dense && made.kind != Kind::batch_norm &&
                made.kind != Kind::add)
                continue;
            program_.rectified[size_t(maker)] = i;
            done_[i] = true;
        }
    }

    // Going back, a rectifier is a factor for each value, which the only step that
    // reads it applies where it stores its own gradient. max_pool and pad do so by
    // their own output: what the rectifier has put out is not needed any more.
    void join_masks() {
        for (size_t i = 0; i < purpose_.end; ++i) {
            const Step& s = steps_[i];
            if (s.source <= std::max(purpose_.deepest, 0) || s.kind == Kind::add)
                continue;
            const size_t source = size_t(s.source);
            if (!steps_[source].rectifies() || readers_[source + 1] != 1) continue;
            if (!masks_by_output(s) &&
                (s.kind != Kind::conv || s.filtering.input_gradient))
                continue;
            program_.beyond[i] = source;
            program_.passed[source] = true;
        }
    }
    static bool masks_by_output(const Step& s) {
        return s.kind == Kind::max_pool || s.kind == Kind::pad;
    }

    // What lies between a convolution and its pool is never there as a whole, nor is
    // its gradient: nobody else may want them.
    void join_pools() {
        for (size_t i = 0; i < purpose_.end; ++i) {
            if (steps_[i].kind != Kind::max_pool) continue;
            std::vector<size_t> between;
            int source = steps_[i].source;
            const auto only = [&] {
                return source >= 0 && readers_[size_t(source + 1)] == 1 &&
                       !wanted(size_t(source)) &&
                       (source > purpose_.deepest || purpose_.learns);
            };
            while (only() && done_[size_t(source)] &&
                   (!purpose_.backward || program_.passed[size_t(source)])) {
                between.push_back(size_t(source));
                source = steps_[size_t(source)].source;
            }
            if (!only() || steps_[size_t(source)].kind != Kind::conv) continue;
            const Step& conv = steps_[size_t(source)];
            // The gradient of a band's input reaches into the next band, but for 1 x 1.
            const bool apart = conv.kernel[0] * conv.kernel[1] == 1 &&
                               conv.stride[0] * conv.stride[1] == 1 && conv.groups == 1;
            if (purpose_.backward && source > purpose_.deepest && !apart) continue;
            if (band_rows(conv, steps_[i]) == 0) continue;
            program_.pooled[size_t(source)] = i;
            joined_[i] = banded_[size_t(source)] = true;
            for (size_t step : between) banded_[step] = true;
        }
    }

    void add_actions() {
        std::vector<Action>& actions = program_.actions;
        actions.push_back({Act::load});
        for (size_t i = 0; i < purpose_.end; ++i) {
            if (purpose_.learns && steps_[i].kind == Kind::batch_norm)
                actions.push_back({Act::measure, i});
            if (!done_[i] && !joined_[i]) actions.push_back({Act::forward, i});
        }
        if (purpose_.backward) add_way_back();
        if (!purpose_.learns) actions.push_back({Act::unload});
    }

    // By step + 1, where gradients are wanted: on all ways to the deepest step, and for
    // the weights anywhere above it.
    std::vector<bool> ways_back() const {
        std::vector<bool> leads(purpose_.end + 1);
        for (int i = purpose_.deepest; i < int(purpose_.end); ++i) {
            const auto reads = [&](int step) { return leads[size_t(step + 1)]; };
            leads[size_t(i + 1)] =
                i == purpose_.deepest || purpose_.learns ||
                reads(steps_[size_t(i)].source) ||
                (steps_[size_t(i)].kind == Kind::add && reads(steps_[size_t(i)].other));
        }
        if (!purpose_.learns && !leads[purpose_.end])
            throw std::invalid_argument("no gradient reaches the deepest step");
        return leads;
    }

    void add_way_back() {
        std::vector<Action>& actions = program_.actions;
        const std::vector<bool> leads = ways_back();
        std::vector<bool> arrived(steps_.size() + 1);  // by step + 1
        const auto deliver = [&](int step) {
            if (!leads[size_t(step + 1)]) return Delivery::none;
            const bool first = !arrived[size_t(step + 1)];
            arrived[size_t(step + 1)] = true;
            return first ? Delivery::put : Delivery::add;
        };
        actions.push_back({Act::loss, purpose_.end - 1});
        arrived[purpose_.end] = true;
        for (size_t i = purpose_.end; i-- > 0;) {
            if (!arrived[i + 1]) continue;
            const Step& s = steps_[i];
            if (purpose_.learns && s.kind == Kind::batch_norm)
                actions.push_back({Act::measure_gradient, i});
            else if (purpose_.learns && s.weight >= 0)
                actions.push_back({Act::weights, i});
            Action input{Act::input, i};
            input.source = deliver(s.source);
            if (s.kind == Kind::add) input.other = deliver(s.other);
            const bool elsewhere = joined_[i] || (banded_[i] && done_[i]);
            if (!elsewhere &&
                (input.source != Delivery::none || input.other != Delivery::none))
                actions.push_back(input);
        }
    }

    static bool whole(const Action& a) {
        return a.act == Act::load || a.act == Act::loss || a.act == Act::unload;
    }
    bool filtered(const Action& a) const {
        const Filtering& f = steps_[a.step].filtering;
        return (a.act == Act::forward && f.forward) ||
               (a.act == Act::weights && f.weight_gradient) ||
               (a.act == Act::input && f.input_gradient);
    }
    // Whether an action needs all channels of what it reads.
    bool begins_chain(const Action& a) const {
        if (whole(a)) return true;
        return (a.act == Act::forward || a.act == Act::input) &&
               !steps_[a.step].by_channel();
    }
    int64_t channels_of(const Action& a) const {
        const Step& s = steps_[a.step];
        if (whole(a)) return 1;
        if (s.kind == Kind::conv && s.groups > 1) return s.groups;
        return s.by_channel() || a.act == Act::input ? s.in.C : s.out.C;
    }
    int64_t work_of(const Action& a) const {
        const Step& s = steps_[a.step];
        if (whole(a)) return 1;  // never cut
        if (s.kind == Kind::conv)
            return s.out.count() * (s.in.C / s.groups) * s.kernel[0] * s.kernel[1];
        return s.kind == Kind::dense ? s.weights() : s.in.count() + s.out.count();
    }

    void cut_chains() {
        std::vector<Chain>& chains = program_.chains;
        for (size_t i = 0; i < program_.actions.size(); ++i) {
            const Action& a = program_.actions[i];
            const int64_t channels = channels_of(a);
            if (chains.empty() || !joins(chains.back(), a, channels))
                chains.push_back({i, i, channels, 0, false, false});
            Chain& chain = chains.back();
            chain.last = i + 1;
            chain.work += work_of(a);
            chain.channels = std::min(chain.channels, channels);
            chain.filtered |= filtered(a);
            chain.merges = a.act == Act::measure || a.act == Act::measure_gradient;
        }
    }

    bool joins(const Chain& chain, const Action& a, int64_t channels) const {
        const bool alone = whole(program_.actions[chain.first]);
        if (chain.merges || alone || begins_chain(a)) return false;
        // Going down, what was flat is cut as the planes below it are.
        const bool flat = steps_[a.step].kind == Kind::flatten;
        return channels % chain.channels == 0 ||
               (flat && chain.channels % channels == 0);
    }

    // ---- where values lie -----------------------------------------------------------

    int new_buffer(int64_t count) {
        buffers_.push_back({count, program_.chains.size(), 0});
        return int(buffers_.size()) - 1;
    }

    // An activation or a sum works in place unless what it would overwrite is still
    // wanted: the network's input, the output of an activation (its gradient needs it),
    // or what another step or the caller reads too. Dropout only passes on where
    // nothing goes back.
    void share_values() {
        values_.push_back(new_buffer(count_of(0)));
        std::vector<bool> overwritable = {false};  // by step + 1, as the buffers
        for (size_t i = 0; i < purpose_.end; ++i) {
            const Step& s = steps_[i];
            const size_t source = size_t(s.source + 1);
            const bool free = overwritable[source] && readers_[source] == 1;
            const bool in_place = s.kind == Kind::activation || s.kind == Kind::add ||
                                  (s.kind == Kind::batch_norm && !purpose_.backward);
            values_.push_back(identity(i) || (free && in_place)
                                  ? values_[source]
                                  : new_buffer(banded_[i] ? 0 : count_of(i + 1)));
            const bool needed = purpose_.backward &&
                                (s.kind == Kind::activation || program_.beyond[i] > 0);
            overwritable.push_back(!wanted(i) && !needed && (free || !identity(i)));
        }
    }

    // The gradient of a step's input takes the place of that of its output where the
    // step passes it on and is the only one to read that input.
    void share_gradients() {
        gradients_.assign(purpose_.end + 1, -1);
        found_.assign(purpose_.end, -1);
        for (const Action& a : program_.actions) {
            if (a.act == Act::loss)
                gradients_[a.step + 1] = new_buffer(count_of(a.step + 1));
            if (a.act != Act::input) continue;
            const Step& s = steps_[a.step];
            const int above = gradients_[a.step + 1];
            const bool only =
                readers_[size_t(s.source + 1)] == 1 && s.source + 1 == int(a.step);
            int& place = gradients_[size_t(s.source + 1)];
            if (a.source == Delivery::put)
                place = s.passes_on() && only ? above : new_buffer(s.in.count());
            if (a.other == Delivery::put)
                gradients_[size_t(s.other + 1)] = new_buffer(s.in.count());
            found_[a.step] = s.passes_on()               ? above
                             : a.source == Delivery::put ? place
                                                         : new_buffer(s.in.count());
        }
    }

    void touch(int buffer, size_t chain) {
        Buffer& b = buffers_[size_t(buffer)];
        b.first = std::min(b.first, chain);
        b.last = chain;
    }

    void note_touches(size_t chain) {
        const Chain& c = program_.chains[chain];
        for (size_t i = c.first; i < c.last; ++i) {
            const Action& a = program_.actions[i];
            const Step& s = steps_[a.step];
            const auto value = [&](int step) {
                touch(values_[size_t(step + 1)], chain);
            };
            const auto gradient = [&](int step) {
                touch(gradients_[size_t(step + 1)], chain);
            };
            const int own = int(a.step), pool = int(program_.pooled[a.step]);
            switch (a.act) {
                case Act::load:
                    value(-1);
                    break;
                case Act::forward:
                    value(s.source);
                    if (s.kind == Kind::add) value(s.other);
                    value(pool > 0 ? pool : own);
                    break;
                case Act::measure:
                    value(s.source);
                    break;
                case Act::loss:
                    value(own);
                    gradient(own);
                    break;
                case Act::weights:
                case Act::measure_gradient:
                    value(s.source);
                    if (pool > 0) value(pool);
                    gradient(pool > 0 ? pool : own);
                    break;
                case Act::input:
                    if (s.kind == Kind::batch_norm) value(s.source);
                    if (s.kind == Kind::activation && !program_.passed[a.step])
                        value(own);
                    if (const size_t beyond = program_.beyond[a.step])
                        value(masks_by_output(s) ? own : int(beyond));
                    if (pool > 0) value(pool);
                    gradient(pool > 0 ? pool : own);
                    touch(found_[a.step], chain);
                    if (a.source != Delivery::none) gradient(s.source);
                    if (a.other != Delivery::none) gradient(s.other);
                    break;
                case Act::unload:
                    for (size_t step : purpose_.wanted) value(int(step));
                    if (purpose_.backward) gradient(purpose_.deepest);
                    break;
            }
        }
    }

    // Each buffer as low as none lies that is in use at the same time.
    void place_buffers() {
        std::vector<Buffer*> placed;  // by offset
        for (Buffer& b : buffers_) {
            for (const Buffer* other : placed) {
                if (other->last < b.first || b.last < other->first) continue;
                if (other->offset >= b.offset + b.count) break;
                b.offset = std::max(b.offset, other->offset + other->count);
            }
            const auto behind = std::upper_bound(
                placed.begin(), placed.end(), &b,
                [](const Buffer* a, const Buffer* c) { return a->offset < c->offset; });
            placed.insert(behind, &b);
            program_.arena = std::max(program_.arena, b.offset + b.count);
        }
    }

    std::vector<int64_t> offsets_of(const std::vector<int>& indices) const {
        std::vector<int64_t> offsets;
        for (int i : indices) offsets.push_back(i < 0 ? 0 : buffers_[size_t(i)].offset);
        return offsets;
    }

    const std::vector<Step>& steps_;
    const Purpose& purpose_;
    std::vector<int> readers_;  // by step + 1: how many steps read it
    // By step: whether one before it does its work; a pool that its convolution takes
    // with it; and what is only there by bands.
    std::vector<bool> done_, joined_, banded_;
    std::vector<Buffer> buffers_;
    std::vector<int> values_, gradients_;  // buffers by step + 1; -1 for none
    std::vector<int> found_;               // by step
    Program program_;
};

}  // namespace

int64_t band_rows(const Step& conv, const Step& pool) {
    const int64_t row = kMostLanes * int64_t(sizeof(float)) * conv.out.C * conv.out.W;
    if (conv.filtering.any() || conv.out != pool.in ||
        pool.kernel[0] != pool.stride[0] || row * conv.out.H < kWideMap)
        return 0;
    return std::max<int64_t>(kBand / (row * pool.kernel[0]), 1);
}

int64_t band_values(const Step& conv, const Step& pool) {
    const int64_t rows = band_rows(conv, pool) * pool.kernel[0];
    if (rows == 0) return 0;
    const int64_t rest = conv.out.H - pool.out.H * pool.kernel[0];
    return kMostLanes * (rows + rest) *
           (conv.out.C * conv.out.W + conv.in.C * conv.in.W);
}

Program make_program(const std::vector<Step>& steps, const Purpose& purpose) {
    return Builder(steps, purpose).program();
}

std::vector<Leg> legs_of(const Program& program, bool split, int threads, int lanes) {
    std::vector<Leg> legs;
    bool merged = true;
    for (size_t i = 0; i < program.chains.size(); ++i) {
        const Chain& chain = program.chains[i];
        int64_t parts = 1;
        if (split) {
            // As many as threads, or some times as many where that leaves whole tiles
            // and repeats no work.
            const int64_t each = chain.channels / (threads * kTile);
            parts = threads * std::clamp<int64_t>(each, 1, chain.filtered ? 1 : 4);
            parts = std::min({parts, chain.channels,
                              std::max<int64_t>(chain.work * lanes / kTaskWork, 1)});
        }
        // What is not worth cutting goes on in the task before it.
        if (!merged && parts == 1 && legs.back().parts == 1) {
            legs.back().last = i + 1;
        } else {
            legs.push_back({i, i + 1, parts});
        }
        merged = chain.merges;
    }
    return legs;
}

}  // namespace striate
