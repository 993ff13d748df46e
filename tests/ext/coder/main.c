/* Tests of the slot coder, as one program: see tests/ext/test_coder.py, which builds and runs it.
 *
 *     coder roundtrip SEED BYTES DUMP...   mutated objects come back, until BYTES of them were encoded
 *     coder forged SEED BYTES DUMP...      damaged input is read, until BYTES of it were
 *     coder values SEED                    parsers accept what formatters reproduce, and nothing else
 *     coder life SEED DUMP...              templates, literal tables, bases, updates, and their memory
 *     coder memory SEED DUMP...            each allocation fails once
 */
#include "base_life.h"
#include "forged.h"
#include "life.h"
#include "memory.h"
#include "roundtrip.h"
#include "update_life.h"
#include "value_checks.h"

static void hangs(int signal)
{
    (void)signal;
    fail("does not end");
}

int main(int count, char **argument)
{
    if (count < 3)
        return 2;
    const char *test = argument[1];
    int has_bytes = !strcmp(test, "roundtrip") || !strcmp(test, "forged"), first = has_bytes ? 4 : 3;
    uint64_t most = has_bytes && count > 3 ? strtoull(argument[3], NULL, 10) : 0;
    chance.seed = chance.state = strtoull(argument[2], NULL, 10);
    chance.label = "start";
    signal(SIGALRM, hangs);
    alarm(30);
    size_t dumps = count > first ? (size_t)(count - first) : 0;
    collection *c = (collection *)calloc(dumps + 1, sizeof *c);
    for (size_t i = 0; i < dumps; i++)
        collection_load(&c[i], argument[first + (int)i]);
    if (!strcmp(test, "roundtrip") && dumps)
        roundtrip(c, dumps, most);
    else if (!strcmp(test, "forged") && dumps)
        forged(c, dumps, most);
    else if (!strcmp(test, "values"))
        check_values();
    else if (!strcmp(test, "life") && dumps) {
        check_life(c, dumps);
        check_base_life();
        check_update_life(c, dumps);
    } else if (!strcmp(test, "memory") && dumps)
        check_memory(c, dumps);
    else
        return 2;
    for (size_t i = 0; i < dumps; i++)
        collection_unload(&c[i]);
    free(c);
    return 0;
}
