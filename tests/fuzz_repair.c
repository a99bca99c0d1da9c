/* SPDX-License-Identifier: BSD-3-Clause */
/* What a format checks first, made right again after changes, so that these reach
 * what lies behind: the sums of a zip file's entries; the length of a safetensors
 * header, and of the file.
 */
#include "config.h"

#include "tests/fuzz.h"

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

static uint64_t number(const uint8_t *at, int bytes)
{
    uint64_t x = 0;

    for (int i = 0; i < bytes; i++)
        x |= (uint64_t)at[i] << 8 * i;
    return x;
}

static void put(uint8_t *at, int bytes, uint64_t x)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (uint8_t)(x >> 8 * i);
}

/* ---- zip ------------------------------------------------------------------------- */

enum {
    CENTRAL      = 46, /* bytes of an entry of the central directory before its name */
    LOCAL        = 30, /* and of the entry itself */
    AT_METHOD    = 10,
    AT_SUM       = 16,
    AT_SIZE      = 20,
    AT_PLACE     = 42,
    AT_LOCAL_SUM = 14,
    AT_LOCAL_END =
        26, /* lengths of what stands between the entry's head and its bytes */
};

static uint32_t sum_of(const uint8_t *at, size_t size)
{
    static uint32_t table[256];
    uint32_t sum = UINT32_MAX;

    for (uint32_t i = 0; i < 256 && table[255] == 0; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320 : 0);
    }
    for (size_t i = 0; i < size; i++)
        sum = table[(sum ^ at[i]) & 255] ^ sum >> 8;
    return ~sum;
}

/* Mend the sum of the entry that is not compressed, if it is where 'central' says. */
static void mend_entry(uint8_t *data, size_t size, uint8_t *central)
{
    const size_t place = number(central + AT_PLACE, 4);
    const size_t bytes = number(central + AT_SIZE, 4);
    size_t start;
    uint32_t sum;

    if (number(central + AT_METHOD, 2) != 0 || place > size || size - place < LOCAL)
        return;
    start = place + LOCAL + number(data + place + AT_LOCAL_END, 2) +
            number(data + place + AT_LOCAL_END + 2, 2);
    if (start > size || size - start < bytes)
        return;
    sum = sum_of(data + start, bytes);
    put(central + AT_SUM, 4, sum);
    put(data + place + AT_LOCAL_SUM, 4, sum);
}

static void mend_zip(uint8_t *data, size_t size)
{
    for (size_t i = 0; i + CENTRAL <= size; i++) {
        if (memcmp(data + i, "PK\1\2", 4) == 0)
            mend_entry(data, size, data + i);
    }
}

/* ---- safetensors ----------------------------------------------------------------- */

enum { LENGTH = 8 };

/* Where the object that begins at 'at' ends; 0: nowhere. */
static size_t end_of_object(const uint8_t *data, size_t size, size_t at)
{
    int depth    = 0;
    bool is_text = false;

    for (; at < size; at++) {
        if (is_text && data[at] == '\\')
            at++;
        else if (data[at] == '"')
            is_text = !is_text;
        else if (!is_text && data[at] == '{')
            depth++;
        else if (!is_text && data[at] == '}' && --depth == 0)
            return at + 1;
    }
    return 0;
}

/* The largest offset of the header. */
static size_t end_of_arrays(const uint8_t *text, size_t length)
{
    json_t *all    = json_loadb((const char *)text, length, 0, NULL), *entry;
    json_int_t end = 0;
    const char *name;

    json_object_foreach(all, name, entry)
    {
        const json_t *hi = json_array_get(json_object_get(entry, "data_offsets"), 1);

        end = json_integer_value(hi) > end ? json_integer_value(hi) : end;
    }
    json_decref(all);
    return (size_t)end;
}

static size_t mend_safetensors(uint8_t *data, size_t size)
{
    const size_t end = end_of_object(data, size, LENGTH);
    size_t wanted;

    if (end == 0)
        return size;
    put(data, LENGTH, end - LENGTH);
    wanted = end + end_of_arrays(data + LENGTH, end - LENGTH);
    if (wanted < end || wanted > FUZZ_SIZE)
        return size;
    if (wanted > size)
        memset(data + size, 0, wanted - size);
    return wanted;
}

size_t fuzz_repair(uint8_t *data, size_t size)
{
    if (size > 2 && memcmp(data, "PK", 2) == 0)
        mend_zip(data, size);
    else if (size > LENGTH)
        size = mend_safetensors(data, size);
    return size;
}
