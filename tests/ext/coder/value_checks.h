/* Values: a parser accepts a word if and only if it is canonical, and its formatter gives the same bytes again.
 *
 * Other code decides here what is canonical: the C library for the calendar, snprintf for numbers. All texts lie in
 * blocks of exactly their size, and formatters write to blocks of KC_MAX_VALUE bytes.
 */
#ifndef VALUE_CHECKS_H
#define VALUE_CHECKS_H

#include "mutation.h"

/* Formats a value into a block of KC_MAX_VALUE bytes, which the caller frees. */
static kr_text formatted(int type, int64_t value, kc_dates *dates)
{
    kr_byte *to = (kr_byte *)malloc(KC_MAX_VALUE);
    size_t len = type == KC_DECIMAL ? kr_format_decimal((uint64_t)value, to)
        : type == KC_IP ? kc_format_ip((uint32_t)value, to) : kc_format_time(to, value, type == KC_MICRO, dates);
    CHECK(len <= KC_MAX_VALUE);
    return (kr_text){to, len};
}

/* Returns whether a whole text is a value of a type; checks that the formatter reproduces it. */
static int accepted(int type, const char *text, size_t len, int64_t *value)
{
    kr_byte *p = copied(text, len);
    kc_dates fresh = {0}, other = {0};
    int found;
    if (type == KC_DECIMAL)
        found = kc_parse_decimal(p, len, value);
    else if (type == KC_IP)
        found = kc_parse_ip(p, len, value);
    else
        found = kc_parse_time(p, len, value, &fresh) == len && len == (type == KC_TIME ? KC_TIME_LEN : KC_MICRO_LEN);
    if (found) {
        kr_text again = formatted(type, *value, &other);
        if (again.len != len || memcmp(again.at, text, len))
            fail("a value of type %d is not reproduced: %s", type, text);
        free((void *)again.at);
    }
    free(p);
    return found;
}

static void expect(int type, const char *text, int is_canonical)
{
    int64_t value;
    if (accepted(type, text, strlen(text), &value) != is_canonical)
        fail("type %d: %s is %s", type, text, is_canonical ? "refused" : "accepted");
}

/* ---- numbers and addresses ---- */

static void check_decimals(void)
{
    char text[32];
    int64_t value;
    for (uint64_t n = 0; n < 100000; n++) {
        size_t len = (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)n);
        CHECK(accepted(KC_DECIMAL, text, len, &value) && (uint64_t)value == n);
    }
    for (int i = 0; i < 60000; i++) {
        uint64_t n = draw_bits(60);
        size_t len = (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)n);
        int small = n < 1000000000000000000u;
        CHECK(accepted(KC_DECIMAL, text, len, &value) == small && (!small || (uint64_t)value == n));
        len = below(20);
        for (size_t j = 0; j < len; j++)
            text[j] = once_in(24) ? (char)draw() : (char)('0' + below(10) * !once_in(3));
        int canonical = len && len <= 18 && (len == 1 || text[0] != '0');
        for (size_t j = 0; j < len; j++)
            canonical &= text[j] >= '0' && text[j] <= '9';
        CHECK(accepted(KC_DECIMAL, text, len, &value) == canonical);
    }
    for (int i = 0; i < 60000; i++) { /* about 2**64, the bound of a resourceVersion that is stored as a number */
        uint64_t n = 0, found;
        size_t len = 18 + below(4);
        int fits = 1;
        for (size_t j = 0; j < len; j++) {
            unsigned digit = once_in(12) ? (unsigned)below(10) : (unsigned)("184467440737095516159"[j] - '0');
            text[j] = (char)('0' + digit);
            fits &= !__builtin_mul_overflow(n, 10, &n) && !__builtin_add_overflow(n, digit, &n);
        }
        fits &= text[0] != '0';
        kr_byte *p = copied(text, len);
        CHECK(kr_parse_decimal(p, len, &found) == fits && (!fits || found == n));
        free(p);
    }
    expect(KC_DECIMAL, "999999999999999999", 1);
    expect(KC_DECIMAL, "1000000000000000000", 0);
    expect(KC_DECIMAL, "00", 0);
    expect(KC_DECIMAL, "-1", 0);
    expect(KC_DECIMAL, "", 0);
}

static void check_addresses(void)
{
    char text[32];
    int64_t value;
    for (int part = 0; part < 4; part++)
        for (unsigned n = 0; n < 1000; n++)
            for (int digits = 1; digits <= 4; digits++) {
                unsigned address[4] = {10, 0, 255, 7};
                char one[4][8];
                for (int i = 0; i < 4; i++)
                    snprintf(one[i], sizeof *one, "%0*u", i == part ? digits : 1, i == part ? n : address[i]);
                size_t len = (size_t)snprintf(text, sizeof text, "%s.%s.%s.%s", one[0], one[1], one[2], one[3]);
                char plain[8];
                int canonical = n <= 255 && (size_t)snprintf(plain, sizeof plain, "%u", n) == strlen(one[part]);
                CHECK(accepted(KC_IP, text, len, &value) == canonical);
            }
    for (int i = 0; i < 60000; i++) {
        uint32_t n = (uint32_t)draw();
        size_t len = (size_t)snprintf(text, sizeof text, "%u.%u.%u.%u", n >> 24, n >> 16 & 255, n >> 8 & 255, n & 255);
        CHECK(accepted(KC_IP, text, len, &value) && value == n);
        text[below(len)] = once_in(4) ? (char)draw() : "0123456789."[below(11)];
        accepted(KC_IP, text, len, &value);
        accepted(KC_IP, text, below(len + 1), &value);
    }
    expect(KC_IP, "256.0.0.1", 0);
    expect(KC_IP, "10.01.0.1", 0);
    expect(KC_IP, "1.2.3", 0);
    expect(KC_IP, "1.2.3.", 0);
    expect(KC_IP, "1.2.3.4.", 0);
    expect(KC_IP, "1.2.3.4.5", 0);
    expect(KC_IP, "0.0.0.0", 1);
    expect(KC_IP, "255.255.255.255", 1);
}

/* ---- hexadecimals ---- */

/* Packs a text, and unpacks it if it was accepted. */
static int packs_hex(const kr_byte *text, size_t len)
{
    kr_byte *p = copied(text, len), *packed = (kr_byte *)malloc(len / 2), *again = (kr_byte *)malloc(len);
    int done = kr_pack_hex(p, len, packed);
    if (done) {
        kr_unpack_hex(packed, len, again);
        CHECK(!len || !memcmp(again, text, len));
    }
    free(p);
    free(packed);
    free(again);
    return done;
}

static int packs_uuid(const kr_byte *text)
{
    kr_byte *p = copied(text, KR_UUID_LEN), *packed = (kr_byte *)malloc(16), *again = (kr_byte *)malloc(KR_UUID_LEN);
    int done = kr_pack_uuid(p, packed);
    if (done) {
        kr_unpack_uuid(packed, again);
        CHECK(!memcmp(again, text, KR_UUID_LEN));
    }
    free(p);
    free(packed);
    free(again);
    return done;
}

static int is_lower_hex(int c)
{
    return c && strchr("0123456789abcdef", c);
}

static void check_hexadecimals(void)
{
    kr_byte text[KC_MAX_HEX];
    for (size_t len = 0; len <= KC_MAX_HEX; len += 2) {
        for (size_t i = 0; i < len; i++)
            text[i] = (kr_byte)"0123456789abcdef"[below(16)];
        CHECK(packs_hex(text, len));
        for (size_t i = 0; i < len; i += len <= 36 ? 1 : 1 + below(len / 16))
            for (int c = 0; c < 256; c += len <= 36 ? 1 : 1 + (int)below(64)) {
                kr_byte before = text[i];
                text[i] = (kr_byte)c;
                CHECK(packs_hex(text, len) == !!is_lower_hex(c));
                text[i] = before;
            }
    }
    for (int n = 0; n < 8; n++) {
        for (int i = 0; i < KR_UUID_LEN; i++)
            text[i] = (kr_byte)(i == 8 || i == 13 || i == 18 || i == 23 ? '-' : "0123456789abcdef"[below(16)]);
        CHECK(packs_uuid(text));
        for (int i = 0; i < KR_UUID_LEN; i++)
            for (int c = 0; c < 256; c++) {
                kr_byte before = text[i];
                text[i] = (kr_byte)c;
                CHECK(packs_uuid(text) == (before == '-' ? c == '-' : !!is_lower_hex(c)));
                text[i] = before;
            }
    }
}

/* ---- times ---- */

/* Returns whether a text is a canonical time of these years; the C library knows the calendar. */
static int is_time(const char *text, size_t len, int64_t *value)
{
    struct tm parts = {0}, again;
    char seconds[64];
    for (size_t i = 0; i < 19; i++)
        if (i == 4 || i == 7 || i == 10 || i == 13 || i == 16 ? text[i] != "0000-00-00T00:00:00"[i]
                                                              : text[i] < '0' || text[i] > '9')
            return 0;
    sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &parts.tm_year, &parts.tm_mon, &parts.tm_mday, &parts.tm_hour,
           &parts.tm_min, &parts.tm_sec);
    if (parts.tm_year < 1970 || parts.tm_year > 2199)
        return 0;
    parts.tm_year -= 1900;
    parts.tm_mon -= 1;
    time_t time = timegm(&parts);
    gmtime_r(&time, &again);
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &again);
    if (memcmp(seconds, text, 19))
        return 0;
    *value = time;
    if (len == KC_TIME_LEN)
        return text[19] == 'Z';
    if (len != KC_MICRO_LEN || text[19] != '.' || text[26] != 'Z')
        return 0;
    for (int i = 20; i < 26; i++)
        if (text[i] < '0' || text[i] > '9')
            return 0;
    *value = *value * 1000000 + atoi(text + 20);
    return 1;
}

/* Checks one text against the C library; `dates`: kept from one text to the next, as the coder does. */
static void check_time(const char *text, size_t len, kc_dates *dates)
{
    int64_t value = 0, expected = 0, kept = 0;
    kr_byte *p = copied(text, len);
    size_t found = kc_parse_time(p, len, &kept, dates);
    int canonical = is_time(text, len, &expected);
    if (accepted(len == KC_TIME_LEN ? KC_TIME : KC_MICRO, text, len, &value) != canonical
        || (canonical && (value != expected || kept != expected || found != len)))
        fail("the time %.*s is %s", (int)len, text, canonical ? "refused, or misread" : "accepted");
    CHECK(canonical || found != len);
    free(p);
}

static void check_times(void)
{
    static const int seconds[] = {0, 1, 30, 59, 60, 61};
    char text[64];
    kc_dates dates = {0};
    for (int year = 1969; year <= 2200; year++)
        for (int month = 0; month <= 13; month++)
            for (int day = 0; day <= 32; day++) {
                snprintf(text, sizeof text, "%04d-%02d-%02dT23:59:59Z", year, month, day);
                check_time(text, KC_TIME_LEN, &dates);
            }
    for (int hour = 0; hour <= 24; hour++)
        for (int minute = 0; minute <= 60; minute++)
            for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
                snprintf(text, sizeof text, "2024-02-29T%02d:%02d:%02d.%06uZ", hour, minute, seconds[i],
                         (unsigned)below(1000000));
                check_time(text, KC_MICRO_LEN, &dates);
            }
    for (int n = 0; n < 16; n++) {
        struct tm parts;
        time_t time = (time_t)(draw() % (KC_LAST_SECOND + 1));
        size_t len = n % 2 ? KC_TIME_LEN : KC_MICRO_LEN;
        gmtime_r(&time, &parts);
        strftime(text, sizeof text, n % 2 ? "%Y-%m-%dT%H:%M:%SZ" : "%Y-%m-%dT%H:%M:%S.012345Z", &parts);
        for (size_t i = 0; i < len; i++)
            for (int c = 0; c < 256; c++) {
                char before = text[i];
                text[i] = (char)c;
                check_time(text, len, &dates);
                text[i] = before;
            }
        for (size_t cut = 0; cut < len; cut++) {
            int64_t value;
            kr_byte *p = copied(text, cut);
            CHECK(!kc_parse_time(p, cut, &value, &dates) || (cut >= KC_TIME_LEN && text[19] == 'Z'));
            free(p);
        }
    }
    expect(KC_TIME, "2026-02-30T00:00:00Z", 0);
    expect(KC_TIME, "2100-02-29T00:00:00Z", 0);
    expect(KC_TIME, "2000-02-29T00:00:00Z", 1);
    expect(KC_TIME, "2016-12-31T23:59:60Z", 0);
    expect(KC_TIME, "2026-03-21t06:19:49Z", 0);
    expect(KC_TIME, "2026-03-21T06:19:49z", 0);
    expect(KC_TIME, "1970-01-01T00:00:00Z", 1);
    expect(KC_TIME, "2199-12-31T23:59:59Z", 1);
    expect(KC_MICRO, "2199-12-31T23:59:59.999999Z", 1);
}

/* Formatters take any value: they return 0, or what a parser reads as the same value. */
static void check_formatters(void)
{
    static const int64_t edges[] = {
        INT64_MIN, INT64_MIN + 1, -1, 0, 1, 86399, 86400, KC_LAST_SECOND - 1, KC_LAST_SECOND, KC_LAST_SECOND + 1,
        KC_LAST_SECOND * 1000000, KC_LAST_SECOND * 1000000 + 999999, (KC_LAST_SECOND + 1) * 1000000, INT64_MAX - 1,
        INT64_MAX, UINT32_MAX,
    };
    kc_dates kept = {0};
    for (size_t i = 0; i < 100000; i++) {
        int64_t value = i < sizeof edges / sizeof *edges ? edges[i] : (int64_t)draw_bits(64) * (once_in(4) ? -1 : 1);
        for (int type = KC_TIME; type <= KC_MICRO; type++) {
            kr_text text = formatted(type, value, &kept);
            int64_t again = -1, whole = type == KC_MICRO ? value / 1000000 : value;
            CHECK((text.len > 0) == (value >= 0 && whole <= KC_LAST_SECOND));
            if (text.len)
                CHECK(kc_parse_time(text.at, text.len, &again, &kept) == text.len && again == value);
            free((void *)text.at);
        }
        kr_text text = formatted(KC_DECIMAL, value, &kept);
        char expected[32];
        CHECK(text.len == (size_t)snprintf(expected, sizeof expected, "%llu", (unsigned long long)value)
              && !memcmp(text.at, expected, text.len));
        free((void *)text.at);
    }
}

/* ---- packed text, numbers of blobs, classes of bytes ---- */

static void check_packed_text(void)
{
    for (int n = 0; n < 40000; n++) {
        size_t len = below(40);
        kr_byte *p = (kr_byte *)malloc(len), *packed = (kr_byte *)malloc(kc_packed_size(len));
        kr_byte *again = (kr_byte *)malloc(len);
        int fits = 1;
        for (size_t i = 0; i < len; i++) {
            p[i] = (kr_byte)(once_in(60) ? draw() : (kr_byte)"abcdefghijklmnopqrstuvwxyz0123456789-."[below(38)]);
            fits &= p[i] && strchr("abcdefghijklmnopqrstuvwxyz0123456789-.", p[i]) != NULL;
        }
        CHECK(kc_pack_text(p, len, packed) == fits);
        if (!fits)
            for (size_t i = 0; i < kc_packed_size(len); i++)
                packed[i] = (kr_byte)draw();
        kc_unpack_text(packed, len, again);
        CHECK(!fits || !len || !memcmp(again, p, len));
        free(p);
        free(packed);
        free(again);
    }
}

static void check_blob_numbers(void)
{
    for (int i = 0; i < 60000; i++) {
        kr_byte text[10];
        uint64_t n = draw_bits(64), found;
        size_t len = (size_t)(kr_put_varint(text, n) - text);
        kr_byte *p = copied(text, len);
        kc_input in = {p, p + len};
        CHECK(kc_read_number(&in, &found) && found == n && in.at == in.end);
        in = (kc_input){p, p + below(len)};
        CHECK(!kc_read_number(&in, &found));
        CHECK(kc_zigzag(kc_unzigzag(n)) == n && kc_unzigzag(kc_zigzag((int64_t)n)) == (int64_t)n);
        free(p);
    }
}

static void check_words(void)
{
    for (int c = 0; c < 256; c++)
        CHECK(!!kc_is_word((kr_byte)c) == (c >= 128 || isalnum(c) || (c && strchr("._-", c))));
    for (int n = 0; n < 40000; n++) {
        kr_byte *p = (kr_byte *)malloc(64), *other;
        size_t len = below(65), same = 0;
        for (int i = 0; i < 64; i++)
            p[i] = (kr_byte)draw();
        uint64_t mask = kc_word_mask(p);
        for (int i = 0; i < 64; i++)
            CHECK((mask >> i & 1) == (uint64_t)!!kc_is_word(p[i]));
        other = copied(p, len);
        for (size_t changes = below(3); changes && len; changes--)
            other[below(len)] ^= (kr_byte)(1u << below(8));
        while (same < len && other[same] == p[same])
            same++;
        CHECK(kc_common(other, p, len) == same);
        free(p);
        free(other);
    }
}

static void check_values(void)
{
    static const struct {
        const char *label;
        void (*check)(void);
    } checks[] = {
        {"decimals", check_decimals}, {"addresses", check_addresses}, {"hexadecimals", check_hexadecimals},
        {"times", check_times}, {"formatters", check_formatters}, {"packed text", check_packed_text},
        {"numbers of blobs", check_blob_numbers}, {"words", check_words},
    };
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        chance.label = checks[i].label;
        alarm(30);
        checks[i].check();
    }
}

#endif
