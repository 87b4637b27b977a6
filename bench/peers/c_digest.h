/* The answer to an upgrade's key: RFC 6455 section 4.2.2, on SHA-1 of FIPS 180-4. */

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static uint32_t rotated(uint32_t word, int by)
{
    return word << by | word >> (32 - by);
}

static void sha1(const char *text, size_t size, uint8_t digest[20])
{
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    uint8_t padded[192] = {0};
    size_t blocks = (size + 8) / 64 + 1;
    memcpy(padded, text, size);
    padded[size] = 0x80;
    for (int at = 0; at < 8; at++)
        padded[blocks * 64 - 1 - at] = (uint8_t)((uint64_t)size * 8 >> 8 * at);
    for (size_t block = 0; block < blocks; block++) {
        uint32_t w[80];
        for (int t = 0; t < 16; t++) {
            uint32_t word;
            memcpy(&word, padded + block * 64 + t * 4, 4);
            w[t] = ntohl(word);
        }
        for (int t = 16; t < 80; t++)
            w[t] = rotated(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
        uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int t = 0; t < 80; t++) {
            uint32_t f, k;
            if (t < 20)
                f = (b & c) | (~b & d), k = 0x5a827999;
            else if (t < 40)
                f = b ^ c ^ d, k = 0x6ed9eba1;
            else if (t < 60)
                f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
            else
                f = b ^ c ^ d, k = 0xca62c1d6;
            uint32_t sum = rotated(a, 5) + f + e + k + w[t];
            e = d, d = c, c = rotated(b, 30), b = a, a = sum;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    for (int at = 0; at < 5; at++) {
        uint32_t word = htonl(h[at]);
        memcpy(digest + at * 4, &word, 4);
    }
}

static void accept_of(const char *key, size_t size, char accepted[29])
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[128];
    uint8_t digest[21] = {0};
    int length = snprintf(text, sizeof text, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
                          (int)(size < 64 ? size : 64), key);
    sha1(text, (size_t)length, digest);
    for (int at = 0; at < 7; at++) {
        uint32_t three = (uint32_t)digest[at * 3] << 16 |
                         (uint32_t)digest[at * 3 + 1] << 8 | digest[at * 3 + 2];
        for (int place = 0; place < 4; place++)
            accepted[at * 4 + place] = letters[three >> (18 - 6 * place) & 63];
    }
    accepted[27] = '=';
    accepted[28] = 0;
}
