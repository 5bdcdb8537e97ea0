// What bind.cpp and bind_plan.cpp share: arrays that own their memory, images as
// sources of the core, and computing without the GIL.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>
#include <unistd.h>

#include <stdexcept>

#include "augment.h"
#include "blocks.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace striate {

template <class T, size_t N>
using Array = nb::ndarray<T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;
template <class T>
using Result = nb::ndarray<nb::numpy, T>;

inline void demand(bool holds, const std::string& rule) {
    if (!holds) throw std::invalid_argument(rule);
}

template <class T>
Result<T> new_array(const std::vector<size_t>& shape) {
    int64_t count = 1;
    for (size_t side : shape) count *= int64_t(side);
    T* data = allocate<T>(count).release();
    nb::capsule owner(data, [](void* p) noexcept { AlignedDelete()(p); });
    return Result<T>(data, shape.size(), shape.data(), owner);
}

template <class T>
Result<T> to_array(const std::vector<T>& values) {
    Result<T> array = new_array<T>({values.size()});
    std::copy(values.begin(), values.end(), array.data());
    return array;
}

inline std::vector<size_t> image_shape(int64_t count, const Shape& s) {
    if (s.H == 1 && s.W == 1) return {size_t(count), 1, 1, size_t(s.C)};
    return {size_t(count), size_t(s.H), size_t(s.W), size_t(s.C)};
}

// The GIL, given back while the core computes. Once Python ends, CPython before 3.14
// unwinds the stack of a thread that asks for it, which neither destructors nor the
// rest of its team survive; such a thread sleeps here instead, as it does since 3.14.
class WithoutGil {
  public:
    WithoutGil() : state_(PyEval_SaveThread()) {}
    ~WithoutGil() { take(); }
    WithoutGil(const WithoutGil&) = delete;
    WithoutGil& operator=(const WithoutGil&) = delete;

    // Whether a signal came that Python answers by an exception (Ctrl-C).
    bool interrupted() {
        take();
        const bool raised = PyErr_CheckSignals() != 0;
        state_ = PyEval_SaveThread();
        return raised;
    }

  private:
    void take() {
        try {
            PyEval_RestoreThread(state_);
        } catch (...) {  // nothing but the end of the thread
            for (;;) pause();
        }
    }

    PyThreadState* state_;
};

// Runs `body` without the GIL; a signal that Python has an answer to (Ctrl-C) ends it.
template <class Body>
auto without_gil(Body body) {
    WithoutGil free;
    return body(Interrupted([&free] { return free.interrupted(); }));
}

// What pixel values become, channel by channel, and the input that they are placed in.
struct PixelTable {
    Array<const float, 2> values;  // (C, 256)
    Array<const float, 1> fill;    // (C,)
    std::array<int64_t, 2> input;  // (H, W)

    PixelTable(Array<const float, 2> values_, Array<const float, 1> fill_,
               std::array<int64_t, 2> input_)
        : values(values_), fill(fill_), input(input_) {
        demand(values.shape(1) == 256, "values must be (C, 256)");
        demand(fill.shape(0) == values.shape(0), "fill must be (C,)");
    }
};

// uint8 images (N, height, width, C) and how they become the network's input.
struct Pixels {
    Array<const uint8_t, 4> images;
    PixelTable table;
    PixelShape shape;

    Pixels(Array<const uint8_t, 4> images_, const PixelTable& table_,
           std::array<int64_t, 2> offset)
        : images(images_), table(table_) {
        shape = {int64_t(images.shape(1)),
                 int64_t(images.shape(2)),
                 int64_t(images.shape(3)),
                 table.input[0],
                 table.input[1],
                 offset[0],
                 offset[1]};
        demand(table.fill.shape(0) == images.shape(3), "the table must be for C");
        demand(shape.top >= 0 && shape.left >= 0 &&
                   shape.top + shape.height <= shape.H &&
                   shape.left + shape.width <= shape.W,
               "the images must lie inside the input");
    }
};

template <class T>
Source<T> source_of(const Pixels& p) {
    Source<T> source;
    source.count = int64_t(p.images.shape(0));
    source.pixels = p.images.data();
    source.shape = p.shape;
    source.table = p.table.values.data();
    source.fill = p.table.fill.data();
    return source;
}

template <class T>
Source<T> source_of(nb::handle object, const Shape& in) {
    Source<T> source;
    if (nb::isinstance<Pixels>(object)) {
        const Pixels& p = nb::cast<const Pixels&>(object);
        demand(p.shape.C == in.C && p.shape.H == in.H && p.shape.W == in.W,
               "pixels do not fit the plan's input");
        source = source_of<T>(p);
    } else {
        const auto values = nb::cast<Array<const T, 4>>(object, false);
        demand(int64_t(values.shape(1)) == in.H && int64_t(values.shape(2)) == in.W &&
                   int64_t(values.shape(3)) == in.C,
               "values do not fit the plan's input");
        source.count = int64_t(values.shape(0));
        source.values = values.data();
    }
    demand(source.count > 0, "there must be an image");
    return source;
}

inline void check_augmentation(const Augmentation& a, const Source<float>& source) {
    demand(source.pixels != nullptr, "only pixels are augmented");
    demand(!a.tints() || source.shape.C == 3, "hue and saturation need 3 channels");
}

// Plans, and what an optimiser remembers.
void bind_plans(nb::module_& m);

}  // namespace striate
