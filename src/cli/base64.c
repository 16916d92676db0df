#include "cli/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum status
base64_encode(struct slice bytes, struct buf *out)
{
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = bytes.size - i;
        uint32_t word = (uint32_t)bytes.data[i] << 16;
        uint8_t four[4];
        enum status st;

        if (left > 1)
            word |= (uint32_t)bytes.data[i + 1] << 8;
        if (left > 2)
            word |= bytes.data[i + 2];
        four[0] = (uint8_t)alphabet[word >> 18];
        four[1] = (uint8_t)alphabet[word >> 12 & 63];
        four[2] = left > 1 ? (uint8_t)alphabet[word >> 6 & 63] : '=';
        four[3] = left > 2 ? (uint8_t)alphabet[word & 63] : '=';
        st = buf_append(out, slice_of(four, 4));
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

static int
digit_of(uint8_t c)
{
    const char *at = c == '\0' ? NULL : strchr(alphabet, c);

    return at == NULL ? -1 : (int)(at - alphabet);
}

/* Four characters to one to three bytes. */
static enum status
decode_four(const uint8_t *four, bool last, struct buf *out)
{
    size_t padding = four[3] != '=' ? 0 : four[2] != '=' ? 1 : 2;
    uint32_t word = 0;
    uint8_t bytes[3];

    if (padding > 0 && !last)
        return ST_INVALID;
    for (size_t i = 0; i < 4; i++) {
        int digit = i >= 4 - padding ? 0 : digit_of(four[i]);

        if (digit < 0)
            return ST_INVALID;
        word = word << 6 | (uint32_t)digit;
    }
    bytes[0] = (uint8_t)(word >> 16);
    bytes[1] = (uint8_t)(word >> 8);
    bytes[2] = (uint8_t)word;
    return buf_append(out, slice_of(bytes, 3 - padding));
}

enum status
base64_decode(struct slice text, struct buf *out)
{
    if (text.size % 4 != 0)
        return ST_INVALID;
    for (size_t i = 0; i < text.size; i += 4) {
        enum status st = decode_four(text.data + i, i + 4 == text.size, out);

        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}
