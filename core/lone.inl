// The convolutions of a training step of one image. Its block has that image in every
// lane and a gradient in the first alone, so that all lanes but one would be computed
// for nothing. What is needed is copied out of the lanes instead, and the lanes of the
// vectors hold neighbouring pixels or channels, as in single.inl.

// Values, with the room behind them that activations of one image have.
STRIATE_INLINE int64_t lone_room(int64_t count) {
    return (count + 2 * kMostLanes - 2) / kMostLanes * kMostLanes;
}

STRIATE_INLINE void first_lane(int64_t count, const float* x, float* values) {
    for (int64_t i = 0; i < count; ++i) values[i] = x[i * kLanes];
}

// Planes [count][H][W] around the first lane of x[count][rows][columns][L], whose
// corner comes to lie at (top, left).
static void place_planes(int64_t count, int64_t rows, int64_t columns, const float* x,
                         int64_t H, int64_t W, int64_t top, int64_t left, float* y) {
    memset(y, 0, sizeof(float) * size_t(count * H * W));
    for (int64_t i = 0; i < count; ++i) {
        float* plane = y + (i * H + top) * W + left;
        for (int64_t row = 0; row < rows; ++row, x += columns * kLanes)
            first_lane(columns, x, plane + row * W);
    }
}

static void lone_forward(const ConvShape& s, const float* x, const float* w,
                         const float* bias, float* y, float* scratch) {
    const int64_t inputs = s.C * s.H * s.W, outputs = s.O * s.OH * s.OW;
    float *plain = scratch, *out = plain + lone_room(inputs);
    first_lane(inputs, x, plain);
    single_conv(s, plain, w, bias, out, out + lone_room(outputs));
    for (int64_t i = 0; i < outputs; ++i) {
        for (int part = 0; part < kLanes; part += kWidth)
            store(y + i * kLanes + part, broadcast(out[i]));
    }
}

// As winograd_input_gradient, a convolution of the output's gradient with zeros around
// it, by kernels turned by half a circle.
static void lone_input_gradient(const ConvShape& s, int64_t first, int64_t last,
                                const float* w, const float* dy, float* dx,
                                float* scratch) {
    if (s.stride_h * s.stride_w > 1)
        return conv_input_gradient(s, first, last, w, dy, nullptr, nullptr, dx);
    const int64_t channels = last - first, taps = s.KH * s.KW;
    const int64_t group_inputs = s.C / s.groups, group_outputs = s.O / s.groups;
    const int64_t top = (s.KH - 1) * s.dilation_h, left = (s.KW - 1) * s.dilation_w;
    const ConvShape back = {s.O,          s.H + top,    s.W + left, channels, s.H,
                            s.W,          s.KH,         s.KW,       1,        1,
                            s.dilation_h, s.dilation_w, s.groups};
    float *plain = scratch, *turned = plain + lone_room(s.O * back.H * back.W);
    float *out = turned + lone_room(channels * group_outputs * taps),
          *work = out + lone_room(channels * s.H * s.W);
    place_planes(s.O, s.OH, s.OW, dy, back.H, back.W, top, left, plain);
    for (int64_t c = first; c < last; ++c) {
        const int64_t o = c / group_inputs * group_outputs;
        for (int64_t i = 0; i < group_outputs; ++i) {
            const float* kernel =
                w + ((o + i) * group_inputs + c % group_inputs) * taps;
            float* to = turned + ((c - first) * group_outputs + i) * taps;
            for (int64_t t = 0; t < taps; ++t) to[t] = kernel[taps - 1 - t];
        }
    }
    single_conv(back, plain, turned, nullptr, out, work);
    for (int64_t i = 0; i < channels * s.H * s.W; ++i) {
        for (int part = 0; part < kLanes; part += kWidth) {
            Vector value = {};
            if (part == 0) value[0] = out[i];
            store(dx + i * kLanes + part, value);
        }
    }
}

// Where the output's rows are as long as the input's, by zeros between them, a weight's
// gradient is the product of two lines: of an output channel's gradient with an input
// channel, from the weight's own place on.
static void lone_weight_gradient(const ConvShape& shape, const float* x,
                                 const float* dy, float* dw, float* db,
                                 float* scratch) {
    const ConvShape s = without_rows(shape);
    if (s.stride_h * s.stride_w > 1) return conv_weight_gradient(s, x, dy, dw, db);
    const int64_t inputs = s.C * s.H * s.W, rows = (s.OH - 1) * s.W + s.OW;
    ConvShape line = s;
    line.OH = 1;
    line.OW = (rows + kLanes - 1) / kLanes;
    float *plain = scratch, *lines = plain + lone_room(inputs);
    first_lane(inputs, x, plain);
    // What lies behind meets zeros only, but must be a number.
    memset(plain + inputs, 0, sizeof(float) * size_t(kLanes - 1));
    for (int64_t o = 0; o < s.O; ++o) {
        float* to = lines + o * line.OW * kLanes;
        memset(to, 0, sizeof(float) * size_t(line.OW * kLanes));
        for (int64_t oh = 0; oh < s.OH; ++oh)
            first_lane(s.OW, dy + (o * s.OH + oh) * s.OW * kLanes, to + oh * s.W);
    }
    for (int64_t g = 0; g < s.groups; ++g)
        add_weight_gradient<1>(line, g, 0, 1, plain, lines, dw);
    if (db) bias_gradient(line, lines, db);
}
