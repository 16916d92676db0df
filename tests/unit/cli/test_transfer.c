/* The arguments that import and export share: what is wrong with them is told in one line. */
#include "cli/transfer.h"
#include "unit/test.h"

enum { LINE_BYTES = 256 };

/* What transfer_parse() prints about these two words of an export, in the exporter's place. */
static void
refuse(char *first, char *second, char line[LINE_BYTES])
{
    struct transfer x = { .name = "export", .help = "", .needs_path = false };
    char *argv[] = { first, second };
    FILE *told = tmpfile();
    int own = dup(STDERR_FILENO);
    int code = 0;

    EXPECT(told != NULL && own >= 0);
    EXPECT(dup2(fileno(told), STDERR_FILENO) >= 0);
    EXPECT(!transfer_parse(&x, second == NULL ? 1 : 2, argv, &code));
    fflush(stderr);
    EXPECT(dup2(own, STDERR_FILENO) >= 0);
    close(own);
    rewind(told);
    EXPECT(fgets(line, LINE_BYTES, told) != NULL);
    fclose(told);
    EXPECT(code == 2);
}

/* Without a path, that line once spoke of the file "(null)". */
TEST(transfer_names_the_format_that_it_does_not_know)
{
    char flag[] = "--format", name[] = "xml", line[LINE_BYTES];

    refuse(flag, name, line);
    EXPECT_STR(line, "distkv export: --format: \"xml\" is neither jsonl nor csv; "
                     "see distkv export --help\n");
}

TEST(transfer_asks_for_the_format_of_a_file_whose_name_does_not_tell)
{
    char path[] = "records.txt", line[LINE_BYTES];

    refuse(path, NULL, line);
    EXPECT_STR(line, "distkv export: is records.txt jsonl or csv? say --format; "
                     "see distkv export --help\n");
}

TEST_MAIN(RUN(transfer_names_the_format_that_it_does_not_know),
          RUN(transfer_asks_for_the_format_of_a_file_whose_name_does_not_tell))
