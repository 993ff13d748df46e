/* Values: words that are stored in less than their characters: times, decimals, hexadecimals, UUIDs, IPv4 addresses.
 *
 * A parser accepts a word only if formatting the value gives the same bytes again: no leading zeros, lowercase digits,
 * no 30 February. So whatever does not round-trip stays text. Decimals, hexadecimals and UUIDs: records/canonical.h.
 * The type of a word is the first that fits: key, part of the object's own, time, decimal, IPv4 address, UUID,
 * hexadecimal, text. Formatters take any value, as it may come from a forged blob, and never write more than
 * KC_MAX_VALUE bytes. Nothing here allocates.
 */
#ifndef KINFORM_TYPED_VALUES_H
#define KINFORM_TYPED_VALUES_H

#include "bytes.h"

enum {
    KC_TEXT,    /* any word */
    KC_DECIMAL, /* 0 to 10**18 - 1 */
    KC_HEX,     /* an even number of lowercase digits, 8 to 1024 */
    KC_UUID,
    KC_IP,
    KC_TIME,    /* 2026-03-21T06:19:49Z, 1970 to 2199; value: seconds since 1970 */
    KC_MICRO,   /* 2026-03-21T06:19:49.123456Z; value: microseconds since 1970 */
    KC_KEY,     /* a word before `":`, such as a key of a JSON object: replaced as text */
    KC_OWN,     /* a part of the object's own identity: see own.h */
};
enum { KC_MAX_VALUE = 40, KC_TIME_LEN = 20, KC_MICRO_LEN = 27, KC_MAX_DIGITS = 18, KC_MAX_HEX = 1024 };
#define KC_LAST_SECOND 7258118399 /* 2199-12-31T23:59:59Z */

/* ---- decimals and addresses ---- */

/* Parses a decimal of at most KC_MAX_DIGITS digits, so that the difference of two is an int64_t. */
static inline int kc_parse_decimal(const kr_byte *p, size_t len, int64_t *value)
{
    uint64_t n;
    if (len > KC_MAX_DIGITS || !kr_parse_decimal(p, len, &n))
        return 0;
    *value = (int64_t)n;
    return 1;
}

static inline int kc_parse_ip(const kr_byte *p, size_t len, int64_t *value)
{
    uint32_t address = 0;
    size_t i = 0;
    for (int part = 0; part < 4; part++) {
        size_t start = i;
        unsigned n = 0;
        while (i < len && i - start < 3 && p[i] - (unsigned)'0' <= 9)
            n = n * 10 + (p[i++] - (unsigned)'0');
        if (i == start || n > 255 || (p[start] == '0' && i - start > 1))
            return 0;
        address = address << 8 | n;
        if (part < 3 && (i >= len || p[i++] != '.'))
            return 0;
    }
    *value = address;
    return i == len;
}

static inline size_t kc_format_ip(uint32_t address, kr_byte *to)
{
    size_t len = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
        len += kr_format_decimal(address >> shift & 255, to + len);
        if (shift)
            to[len++] = '.';
    }
    return len;
}

/* ---- times ---- */

/* A date, as text and as a number. */
typedef struct {
    kr_byte text[10]; /* 2026-03-21; all 0: no date */
    int64_t day;      /* since 1970 */
} kc_date;

enum { KC_DATES = 16 };

/* The dates that were converted last: times of one collection share a few. All 0: none yet. */
typedef struct {
    kc_date by_text[KC_DATES]; /* by the last two characters */
    kc_date by_day[KC_DATES];  /* by the day modulo KC_DATES */
} kc_dates;

/* Returns the number of two digits, -1 if one is not. */
static inline int kc_two_digits(const kr_byte *p)
{
    unsigned high = p[0] - (unsigned)'0', low = p[1] - (unsigned)'0';
    return high > 9 || low > 9 ? -1 : (int)(high * 10 + low);
}

static inline void kc_put_two_digits(kr_byte *to, unsigned n)
{
    to[0] = (kr_byte)('0' + n / 10);
    to[1] = (kr_byte)('0' + n % 10);
}

/* Converts a Gregorian date to days since 1970. Source: Hinnant, "chrono-compatible date algorithms". */
static inline int64_t kc_day_of(int year, int month, int day)
{
    year -= month <= 2;
    int era = year / 400, of_era = year - era * 400;
    int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return (int64_t)era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* Returns the date at `p`, NULL if it is not one. */
static inline const kc_date *kc_parse_date(const kr_byte *p, kc_dates *dates)
{
    static const kr_byte days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    kc_date *found = &dates->by_text[(10u * p[8] + p[9]) % KC_DATES];
    if (!memcmp(found->text, p, sizeof found->text))
        return found;
    int century = kc_two_digits(p), years = kc_two_digits(p + 2), month = kc_two_digits(p + 5);
    int day = kc_two_digits(p + 8), year = century * 100 + years;
    if ((century | years | month | day) < 0 || year < 1970 || year > 2199 || month < 1 || month > 12 || day < 1)
        return NULL;
    int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day > days[month - 1] + (month == 2 && leap))
        return NULL;
    found->day = kc_day_of(year, month, day);
    memcpy(found->text, p, sizeof found->text);
    return found;
}

/* Returns the date of a day since 1970. */
static inline const kc_date *kc_format_date(int64_t day, kc_dates *dates)
{
    kc_date *found = &dates->by_day[day % KC_DATES];
    if (day == found->day && *found->text)
        return found;
    int64_t shifted = day + 719468, era = shifted / 146097;
    unsigned of_era = (unsigned)(shifted - era * 146097);
    unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned part = (5 * of_year + 2) / 153, month = part < 10 ? part + 3 : part - 9;
    unsigned year = year_of_era + (unsigned)era * 400 + (month <= 2);
    kc_put_two_digits(found->text, year / 100);
    kc_put_two_digits(found->text + 2, year % 100);
    found->text[4] = found->text[7] = '-';
    kc_put_two_digits(found->text + 5, month);
    kc_put_two_digits(found->text + 8, of_year - (153 * part + 2) / 5 + 1);
    found->day = day;
    return found;
}

/* Returns the seconds of a time of day, 06:19:49; -1 if it is not one. */
static inline int kc_seconds_of(const kr_byte *p)
{
    const kr_byte digit[6] = {
        (kr_byte)(p[0] - '0'), (kr_byte)(p[1] - '0'), (kr_byte)(p[3] - '0'),
        (kr_byte)(p[4] - '0'), (kr_byte)(p[6] - '0'), (kr_byte)(p[7] - '0'),
    };
    const int hour = digit[0] * 10 + digit[1], minute = digit[2] * 10 + digit[3], second = digit[4] * 10 + digit[5];
    const int is_wrong = p[2] != ':' || p[5] != ':' || hour > 23 || digit[1] > 9 || digit[2] > 5 || digit[3] > 9
        || digit[4] > 5 || digit[5] > 9;
    return is_wrong ? -1 : hour * 3600 + minute * 60 + second;
}

/* Parses the time that begins at `p`. Returns its length, which states its type; 0 if it is not one. */
static inline size_t kc_parse_time(const kr_byte *p, size_t len, int64_t *value, kc_dates *dates)
{
    if (len < KC_TIME_LEN || p[4] != '-' || p[7] != '-' || p[10] != 'T')
        return 0;
    const int seconds = kc_seconds_of(p + 11);
    const kc_date *date = seconds < 0 ? NULL : kc_parse_date(p, dates);
    if (!date)
        return 0;
    *value = date->day * 86400 + seconds;
    if (p[19] == 'Z')
        return KC_TIME_LEN;
    if (p[19] != '.' || len < KC_MICRO_LEN || p[26] != 'Z')
        return 0;
    int high = kc_two_digits(p + 20), middle = kc_two_digits(p + 22), low = kc_two_digits(p + 24);
    if ((high | middle | low) < 0)
        return 0;
    *value = *value * 1000000 + high * 10000 + middle * 100 + low;
    return KC_MICRO_LEN;
}

/* Formats seconds, or microseconds if `micro`; returns the length, 0 unless the year is 1970 to 2199. */
static inline size_t kc_format_time(kr_byte *to, int64_t value, int micro, kc_dates *dates)
{
    if (value < 0 || (micro ? value / 1000000 : value) > KC_LAST_SECOND)
        return 0;
    unsigned fraction = micro ? (unsigned)(value % 1000000) : 0;
    int64_t seconds = micro ? value / 1000000 : value;
    unsigned rest = (unsigned)(seconds % 86400);
    memcpy(to, kc_format_date(seconds / 86400, dates)->text, sizeof ((kc_date *)NULL)->text);
    to[10] = 'T';
    kc_put_two_digits(to + 11, rest / 3600);
    to[13] = to[16] = ':';
    kc_put_two_digits(to + 14, rest / 60 % 60);
    kc_put_two_digits(to + 17, rest % 60);
    to[19] = 'Z';
    if (!micro)
        return KC_TIME_LEN;
    to[19] = '.';
    kc_put_two_digits(to + 20, fraction / 10000);
    kc_put_two_digits(to + 22, fraction / 100 % 100);
    kc_put_two_digits(to + 24, fraction % 100);
    to[26] = 'Z';
    return KC_MICRO_LEN;
}

/* ---- types ---- */

/* Returns the type of a word that is no key, no time, and no part of the object's own: the first that fits. */
static inline int kc_type_of(const kr_byte *p, size_t len)
{
    int64_t value;
    kr_byte packed[KC_MAX_HEX / 2];
    if (*p <= '9') {
        if (kc_parse_decimal(p, len, &value))
            return KC_DECIMAL;
        if (len >= 7 && len <= 15 && kc_parse_ip(p, len, &value))
            return KC_IP;
    }
    if (len < 8 || (kr_hex_digit(p[0]) | kr_hex_digit(p[1]) | kr_hex_digit(p[2])) < 0)
        return KC_TEXT;
    if (len == KR_UUID_LEN && kr_pack_uuid(p, packed))
        return KC_UUID;
    return len % 2 == 0 && len <= KC_MAX_HEX && kr_pack_hex(p, len, packed) ? KC_HEX : KC_TEXT;
}

/* ---- packed text ---- */

/* The digits of base 38 are `a` to `z`, `0` to `9`, `-` and `.`. Three of them, the first one the highest, are a number
 * of two bytes, the lowest first. The last one or two take a byte each. */
static inline int kc_packed_digit(kr_byte c)
{
    if (c - (unsigned)'a' < 26)
        return c - 'a';
    if (c - (unsigned)'0' < 10)
        return c - '0' + 26;
    return c == '-' ? 36 : c == '.' ? 37 : -1;
}

static inline size_t kc_packed_size(size_t len)
{
    return len / 3 * 2 + len % 3;
}

/* Packs text into kc_packed_size bytes; 0 if it has other characters. */
static inline int kc_pack_text(const kr_byte *p, size_t len, kr_byte *to)
{
    size_t i = 0;
    for (; i + 3 <= len; i += 3) {
        int a = kc_packed_digit(p[i]), b = kc_packed_digit(p[i + 1]), c = kc_packed_digit(p[i + 2]);
        if ((a | b | c) < 0)
            return 0;
        unsigned n = ((unsigned)a * 38 + (unsigned)b) * 38 + (unsigned)c;
        *to++ = (kr_byte)n;
        *to++ = (kr_byte)(n >> 8);
    }
    for (; i < len; i++) {
        int digit = kc_packed_digit(p[i]);
        if (digit < 0)
            return 0;
        *to++ = (kr_byte)digit;
    }
    return 1;
}

/* Unpacks `len` characters; any bytes give some. */
static inline void kc_unpack_text(const kr_byte *from, size_t len, kr_byte *to)
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
    size_t i = 0;
    for (; i + 3 <= len; i += 3, from += 2) {
        unsigned n = from[0] | (unsigned)from[1] << 8;
        to[i + 2] = (kr_byte)digits[n % 38];
        to[i + 1] = (kr_byte)digits[n / 38 % 38];
        to[i] = (kr_byte)digits[n / 1444 % 38];
    }
    for (; i < len; i++)
        to[i] = (kr_byte)digits[*from++ % 38];
}

#endif
