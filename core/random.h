// The one random generator of the house: Philox 4x32-10 (Salmon, Moraes, Dror and Shaw,
// "Parallel random numbers: as easy as 1, 2, 3", 2011). It has no state: a seed, a
// stream and a position give the number, so any thread can make any of them.
#pragma once

#include <cstdint>

namespace striate {

struct RandomWords {
    uint32_t word[4];
};

inline RandomWords random_words(uint64_t seed, uint64_t stream, uint64_t position) {
    uint32_t c[4] = {uint32_t(position), uint32_t(position >> 32), uint32_t(stream),
                     uint32_t(stream >> 32)};
    uint32_t key0 = uint32_t(seed), key1 = uint32_t(seed >> 32);
    for (int round = 0; round < 10; ++round) {
        const uint64_t a = uint64_t(0xD2511F53u) * c[0];
        const uint64_t b = uint64_t(0xCD9E8D57u) * c[2];
        const uint32_t next0 = uint32_t(b >> 32) ^ c[1] ^ key0;
        const uint32_t next2 = uint32_t(a >> 32) ^ c[3] ^ key1;
        c[1] = uint32_t(b);
        c[3] = uint32_t(a);
        c[0] = next0;
        c[2] = next2;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return {{c[0], c[1], c[2], c[3]}};
}

// 64 random bits; position counts numbers, two to a draw of four words.
inline uint64_t random_bits(uint64_t seed, uint64_t stream, uint64_t position) {
    const RandomWords r = random_words(seed, stream, position / 2);
    const int first = position % 2 ? 2 : 0;
    return uint64_t(r.word[first]) << 32 | r.word[first + 1];
}

}  // namespace striate
