// What every run over a set of images needs: how the set is cut into blocks, and
// whether to go on.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>

#include "plan.h"

namespace striate {

inline int64_t blocks_of(int64_t images, int lanes) {
    return (images + lanes - 1) / lanes;
}
// The next multiple of 16: whole vectors of any table.
inline int64_t padded(int64_t count) {
    return (count + kMostLanes - 1) / kMostLanes * kMostLanes;
}

// The most slices of a batch, and blocks that threads share.
constexpr int64_t kSlices = 8;

// Whether so few blocks are cut for several threads: where some of these would be idle
// for more than an eighth of the time if each carried whole blocks. Either way gives
// the same bits.
inline bool splits(int64_t blocks, int threads) {
    const int64_t rounds = (blocks + threads - 1) / threads;
    return blocks <= kSlices && 8 * blocks < 7 * rounds * threads;
}

// The images order[begin] ... order[end - 1], or begin ... end - 1 without an order, as
// many of them as a block holds.
inline Block block_at(const int64_t* order, int64_t begin, int64_t end, int lanes) {
    Block block;
    block.real = int(std::min<int64_t>(lanes, end - begin));
    for (int l = 0; l < lanes; ++l) {
        const int64_t at = begin + (l < block.real ? l : 0);
        block.row[l] = order ? order[at] : at;
    }
    return block;
}

// Asked about every twentieth of a second on the calling thread; true stops the run.
using Interrupted = std::function<bool()>;

// Whether to go on; asks the caller now and then, on thread 0 only.
class Watch {
  public:
    explicit Watch(const Interrupted& interrupted) : interrupted_(interrupted) {}

    bool go_on(int thread) {
        if (thread == 0) {
            const auto now = std::chrono::steady_clock::now();
            if (now - asked_ > std::chrono::milliseconds(50)) {
                asked_ = now;
                if (interrupted_()) stopped_.store(true, std::memory_order_relaxed);
            }
        }
        return !stopped();
    }
    bool stopped() const { return stopped_.load(std::memory_order_relaxed); }

  private:
    const Interrupted& interrupted_;
    std::chrono::steady_clock::time_point asked_ = std::chrono::steady_clock::now();
    std::atomic<bool> stopped_{false};
};

}  // namespace striate
