// Between images as users store them (one after the other) and blocks of 16 in lanes.

static void gather_pixels(const PixelShape& s, const uint8_t* const* images,
                          const float* table, const float* fill, float* x) {
    for (int64_t c = 0; c < s.C; ++c) {
        const float* values = table + c * 256;
        Lanes border = {};
        for (int part = 0; part < kParts; ++part) border.part[part] += fill[c];
        float* plane = x + c * s.H * s.W * kLanes;
        for (int64_t h = 0; h < s.H; ++h) {
            float* row = plane + h * s.W * kLanes;
            const bool inside = h >= s.top && h < s.top + s.height;
            const int64_t left = inside ? s.left : s.W;
            const int64_t right = inside ? s.left + s.width : s.W;
            for (int64_t w = 0; w < left; ++w) store_lanes(row + w * kLanes, border);
            for (int64_t w = left; w < right; ++w) {
                const int64_t pixel = ((h - s.top) * s.width + (w - left)) * s.C + c;
                STRIATE_UNROLL
                for (int lane = 0; lane < kLanes; ++lane)
                    row[w * kLanes + lane] = values[images[lane][pixel]];
            }
            for (int64_t w = right; w < s.W; ++w) store_lanes(row + w * kLanes, border);
        }
    }
}

static void lanes_to_rows(int64_t count, const float* x, float* rows, int64_t stride) {
    for (int64_t begin = 0; begin < count; begin += kLanes) {
        const int64_t end = begin + kLanes < count ? begin + kLanes : count;
        for (int lane = 0; lane < kLanes; ++lane) {
            for (int64_t i = begin; i < end; ++i)
                rows[lane * stride + i] = x[i * kLanes + lane];
        }
    }
}
