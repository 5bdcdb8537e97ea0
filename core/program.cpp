#include "program.h"

#include <algorithm>

#include "plan.h"

namespace striate {

namespace {

// What a chain touches at a time, in numbers: a quarter of a megabyte, beside which the
// input of the next convolution has room in a core's own cache.
constexpr int64_t kTogether = (256 << 10) / 4;
// Convolutions are fastest at four channels at a time.
constexpr int64_t kTile = 4;
// The work of a task that is worth a phase of its own: some three microseconds.
constexpr int64_t kTaskWork = 10000;

// A part of the arena or of the scratch memory, and the chains from the first to the
// last that touches it.
struct Buffer {
    int64_t count;
    size_t first, last;
    size_t counted = kNever;
    int64_t offset = -1;
    static constexpr size_t kNever = ~size_t(0);
};

class Builder {
  public:
    Builder(const std::vector<Step>& steps, const Purpose& purpose)
        : steps_(steps), purpose_(purpose), readers_(purpose.end + 1) {
        for (size_t i = 0; i < purpose.end; ++i) {
            ++readers_[size_t(steps[i].source + 1)];
            if (steps[i].kind == Kind::add) ++readers_[size_t(steps[i].other + 1)];
        }
        add_actions();
        cut_chains();
        share_values();
        if (purpose.backward) share_gradients();
        note_touches();
        place_in_arena();
        place_in_scratch();
        program_.values = places_of(values_);
        program_.gradients = places_of(gradients_);
        program_.found = places_of(found_);
        program_.backward = purpose.backward;
    }

    Program program() && { return std::move(program_); }

  private:
    bool wanted(size_t step) const {
        return std::find(purpose_.wanted.begin(), purpose_.wanted.end(), step) !=
               purpose_.wanted.end();
    }
    int64_t count_of(size_t index) const {  // of step + 1
        return kLanes * (index == 0 ? steps_[0].in : steps_[index - 1].out).count();
    }

    // ---- what is done ---------------------------------------------------------------

    void add_actions() {
        std::vector<Action>& actions = program_.actions;
        actions.push_back({Act::load});
        for (size_t i = 0; i < purpose_.end; ++i) {
            if (purpose_.learns && steps_[i].kind == Kind::batch_norm)
                actions.push_back({Act::measure, i});
            actions.push_back({Act::forward, i});
        }
        if (purpose_.backward) add_way_back();
        if (!purpose_.learns) actions.push_back({Act::unload});
    }

    void add_way_back() {
        std::vector<Action>& actions = program_.actions;
        std::vector<bool> arrived(steps_.size() + 1);  // by step + 1
        const auto deliver = [&](int step) {
            if (step < purpose_.deepest) return Delivery::none;
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
            if (input.source != Delivery::none || input.other != Delivery::none)
                actions.push_back(input);
        }
    }

    static bool whole(const Action& a) {
        return a.act == Act::load || a.act == Act::loss || a.act == Act::unload;
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
                chains.push_back({i, i, channels, 1, 0, false});
            Chain& chain = chains.back();
            chain.last = i + 1;
            chain.work += work_of(a);
            chain.channels = std::min(chain.channels, channels);
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
        buffers_.push_back({count, Buffer::kNever, 0});
        return int(buffers_.size()) - 1;
    }

    // An activation or a sum works in place unless what it would overwrite is still
    // wanted: the network's input, the output of an activation (its gradient needs it),
    // or what another step or the caller reads too. Dropout only passes on where nothing
    // goes back.
    void share_values() {
        values_.push_back(new_buffer(count_of(0)));
        std::vector<bool> overwritable = {false};  // by step + 1, as the buffers
        for (size_t i = 0; i < purpose_.end; ++i) {
            const Step& s = steps_[i];
            const size_t source = size_t(s.source + 1);
            const bool free = overwritable[source] && readers_[source] == 1;
            const bool identity = s.kind == Kind::flatten ||
                                  (s.kind == Kind::dropout && !purpose_.backward);
            const bool in_place =
                s.kind == Kind::activation || s.kind == Kind::add ||
                (s.kind == Kind::batch_norm && !purpose_.backward);
            values_.push_back(identity || (free && in_place)
                                  ? values_[source]
                                  : new_buffer(count_of(i + 1)));
            const bool needed = s.kind == Kind::activation && purpose_.backward;
            overwritable.push_back(!wanted(i) && (identity ? free : !needed));
        }
    }

    // The gradient of a step's input takes the place of that of its output where the
    // step passes it on and is the only one to read that input.
    void share_gradients() {
        gradients_.assign(purpose_.end + 1, -1);
        found_.assign(purpose_.end, -1);
        for (const Action& a : program_.actions) {
            if (a.act == Act::loss) gradients_[a.step + 1] = new_buffer(count_of(a.step + 1));
            if (a.act != Act::input) continue;
            const Step& s = steps_[a.step];
            const int above = gradients_[a.step + 1];
            const bool only =
                readers_[size_t(s.source + 1)] == 1 && s.source + 1 == int(a.step);
            int& place = gradients_[size_t(s.source + 1)];
            if (a.source == Delivery::put)
                place = s.passes_on() && only ? above : new_buffer(kLanes * s.in.count());
            if (a.other == Delivery::put)
                gradients_[size_t(s.other + 1)] = new_buffer(kLanes * s.in.count());
            found_[a.step] = s.passes_on()                ? above
                             : a.source == Delivery::put ? place
                                                         : new_buffer(kLanes * s.in.count());
        }
    }

    // An action of the chain uses the buffer; by the channels carried, or all of it.
    void touch(int buffer, size_t chain, bool by_channel = true) {
        Buffer& b = buffers_[size_t(buffer)];
        if (b.first == Buffer::kNever) b.first = chain;
        b.last = chain;
        if (!by_channel || b.counted == chain) return;
        b.counted = chain;
        carried_[chain] += b.count / program_.chains[chain].channels;
    }

    void note_touches() {
        carried_.resize(program_.chains.size());
        for (size_t c = 0; c < program_.chains.size(); ++c) {
            const Chain& chain = program_.chains[c];
            for (size_t i = chain.first; i < chain.last; ++i)
                note_touches(program_.actions[i], c);
        }
    }

    void note_touches(const Action& a, size_t chain) {
        const Step& s = steps_[a.step];
        const int x = values_[size_t(s.source + 1)];
        switch (a.act) {
            case Act::load:
                touch(values_[0], chain);
                break;
            case Act::forward:
                touch(x, chain, s.by_channel());
                if (s.kind == Kind::add) touch(values_[size_t(s.other + 1)], chain);
                touch(values_[a.step + 1], chain);
                break;
            case Act::measure:
                touch(x, chain);
                break;
            case Act::unload:
                for (size_t step : purpose_.wanted) touch(values_[step + 1], chain);
                if (purpose_.backward) touch(gradients_[0], chain);
                break;
            case Act::loss:
                touch(values_[a.step + 1], chain);
                touch(gradients_[a.step + 1], chain);
                break;
            case Act::weights:
            case Act::measure_gradient:
                touch(x, chain, s.by_channel());
                touch(gradients_[a.step + 1], chain);
                break;
            case Act::input:
                if (s.kind == Kind::batch_norm) touch(x, chain);
                if (s.kind == Kind::activation) touch(values_[a.step + 1], chain);
                touch(gradients_[a.step + 1], chain, s.by_channel());
                touch(found_[a.step], chain);
                if (a.source != Delivery::none)
                    touch(gradients_[size_t(s.source + 1)], chain);
                if (a.other != Delivery::none)
                    touch(gradients_[size_t(s.other + 1)], chain);
                break;
        }
    }

    bool passing(const Buffer& b) const { return b.first == b.last; }

    // Each buffer as low as none lies that is in use at the same time.
    void place_in_arena() {
        std::vector<Buffer*> placed;  // by offset
        for (Buffer& b : buffers_) {
            if (b.first == Buffer::kNever || passing(b)) continue;
            b.offset = 0;
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

    void place_in_scratch() {
        std::vector<int64_t> used(program_.chains.size());
        for (size_t c = 0; c < program_.chains.size(); ++c) {
            Chain& chain = program_.chains[c];
            int64_t most = kTogether / std::max<int64_t>(carried_[c], 1);
            most = std::max(most / kTile * kTile, kTile);
            chain.together = std::min(most, chain.channels);
        }
        for (Buffer& b : buffers_) {
            if (b.first == Buffer::kNever || !passing(b)) continue;
            const Chain& chain = program_.chains[b.first];
            b.offset = used[b.first];
            used[b.first] += b.count / chain.channels * chain.together;
            program_.scratch = std::max(program_.scratch, used[b.first]);
        }
    }

    std::vector<Place> places_of(const std::vector<int>& indices) const {
        std::vector<Place> places(indices.size());
        for (size_t i = 0; i < indices.size(); ++i) {
            if (indices[i] < 0) continue;
            const Buffer& b = buffers_[size_t(indices[i])];
            places[i] = {b.offset, passing(b)};
        }
        return places;
    }

    const std::vector<Step>& steps_;
    const Purpose& purpose_;
    std::vector<int> readers_;  // by step + 1: how many steps read it
    std::vector<Buffer> buffers_;
    std::vector<int> values_, gradients_;  // buffers by step + 1; -1 for none
    std::vector<int> found_;               // by step
    std::vector<int64_t> carried_;  // by chain: numbers touched for each channel
    Program program_;
};

}  // namespace

Program make_program(const std::vector<Step>& steps, const Purpose& purpose) {
    return Builder(steps, purpose).program();
}

std::vector<Leg> legs_of(const Program& program, bool split, int threads) {
    std::vector<Leg> legs;
    bool merged = true;
    for (size_t i = 0; i < program.chains.size(); ++i) {
        const Chain& chain = program.chains[i];
        int64_t parts = 1;
        if (split) {
            // As many as threads, or some times as many where that leaves whole tiles.
            const int64_t each = chain.channels / (threads * kTile);
            parts = threads * std::clamp<int64_t>(each, 1, 4);
            parts = std::min({parts, chain.channels,
                              std::max<int64_t>(chain.work / kTaskWork, 1)});
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
