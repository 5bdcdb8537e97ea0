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
    int64_t i = 0;
    for (; i + kWidth <= count; i += kWidth) {
        for (int part = 0; part < kLanes; part += kWidth) {
            Vector square[kWidth];
            STRIATE_UNROLL
            for (int k = 0; k < kWidth; ++k)
                square[k] = load(x + (i + k) * kLanes + part);
            transpose(square);
            STRIATE_UNROLL
            for (int k = 0; k < kWidth; ++k)
                store_loose(rows + (part + k) * stride + i, square[k]);
        }
    }
    for (; i < count; ++i) {
        for (int lane = 0; lane < kLanes; ++lane)
            rows[lane * stride + i] = x[i * kLanes + lane];
    }
}
