// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: fuzz_test [-s SEED] [-n OPS] [-t SECONDS] [-T SECONDS] [-r FILE]
 *
 *	-s	seed of the first sequence; each further sequence adds 1
 *	-n	number of operations to try, in sequences of 20 to 120
 *	-t	or how many seconds to try
 *	-T	how many seconds many threads run at once; 0: none
 *	-r	run the sequence in FILE, as a failure prints it, and no other
 *
 * After each operation, all that can be seen of the module is compared with a
 * model. See fuzz.h. With KCOV, sequences that reach new code are kept, and
 * half of the further sequences are made from kept ones.
 */
#include <stdarg.h>
#include <time.h>

#include "kselftest.h"
#include "fuzz_ops.h"

#define LINES	80
#define KEPT	512

static struct {
	char line[LINES][160];
	u32 nr;
	bool on;
} story;

static const struct sequence *running;
static u64 running_seed;

static u64 tried_ops, tried_sequences;

void fuzz_log(const char *fmt, ...)
{
	va_list args;

	if (!story.on)
		return;
	va_start(args, fmt);
	vsnprintf(story.line[story.nr++ % LINES], sizeof(story.line[0]), fmt, args);
	va_end(args);
}

static void tell_story(void)
{
	u32 i;

	if (!running)
		return;
	for (i = story.nr > LINES ? story.nr - LINES : 0; i < story.nr; i++)
		printf("# %s\n", story.line[i % LINES]);
	if (running_seed)
		printf("# this sequence again: fuzz_test -s %llu -n 1 -T 0\n",
		       (unsigned long long)running_seed);
	printf("# or fuzz_test -r FILE, with in FILE:\n#");
	for (i = 0; i < running->nr; i++)
		printf(" %u:%#x", running->op[i].kind, running->op[i].seed);
	printf("\n");
	running = NULL;
}

void fuzz_fail(const char *fmt, ...)
{
	va_list args;

	printf("# ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	tell_story();
	ksft_test_result_fail("after %llu operations\n", (unsigned long long)tried_ops);
	fflush(stdout);
	_exit(1);
}

static u32 draw_kind(struct rng *r)
{
	u32 i, sum = 0, at;

	for (i = 0; i < fuzz_nr_ops; i++)
		sum += fuzz_ops[i].weight;
	at = pick(r, sum);
	for (i = 0; at >= fuzz_ops[i].weight; i++)
		at -= fuzz_ops[i].weight;
	return i;
}

/* Begin with fuzz_ops' first five, which make a function as a VMM does. */
static void draw_sequence(struct rng *r, struct sequence *s)
{
	u32 i;

	s->nr = 20 + pick(r, FUZZ_OPS - 19);
	for (i = 0; i < s->nr; i++) {
		s->op[i].kind = i < 5 ? i : draw_kind(r);
		s->op[i].seed = rnd(r);
	}
}

static struct sequence kept[KEPT];
static u32 nr_kept;

/* Change a kept sequence: some operations, by new ones or those of another sequence. */
static void draw_mutant(struct rng *r, struct sequence *s)
{
	const struct sequence *other = &kept[pick(r, nr_kept)];
	u32 n = 1 + pick(r, 8), at, len;

	*s = kept[pick(r, nr_kept)];
	while (n--) {
		at = pick(r, s->nr);
		switch (pick(r, 4)) {
		case 0:
			s->op[at].seed = rnd(r);
			break;
		case 1:
			s->op[at] = (struct op) { draw_kind(r), rnd(r) };
			break;
		case 2:
			if (s->nr == FUZZ_OPS)
				break;
			memmove(&s->op[at + 1], &s->op[at], (s->nr++ - at) * sizeof(s->op[0]));
			s->op[at] = (struct op) { draw_kind(r), rnd(r) };
			break;
		default:
			if (at >= other->nr)
				break;
			len = other->nr < s->nr ? other->nr : s->nr;
			memcpy(&s->op[at], &other->op[at], (len - at) * sizeof(s->op[0]));
		}
	}
}

static void keep(struct rng *r, const struct sequence *s)
{
	kept[nr_kept < KEPT ? nr_kept++ : pick(r, KEPT)] = *s;
}

/* Returns how many basic blocks were reached for the first time. */
static u32 run_sequence(const struct sequence *s, u64 seed)
{
	struct rng r = { .state = s->op[0].seed };
	struct world *w;
	u32 i, fresh = 0;

	running = s;
	running_seed = seed;
	story.nr = 0;
	story.on = true;
	w = fuzz_world_new(pick(&r, 2), &r);
	for (i = 0; i < s->nr; i++) {
		fuzz_log("%u: %s", i, fuzz_ops[s->op[i].kind].name);
		r.state = s->op[i].seed;
		fuzz_ops[s->op[i].kind].run(w, &r);
		fuzz_compare(w);
		tried_ops++;
		fresh += fuzz_kcov_collect();
	}
	fuzz_world_free(w);
	fresh += fuzz_kcov_collect();
	story.on = false;
	running = NULL;
	tried_sequences++;
	return fresh;
}

static void report(void)
{
	ksft_print_msg("%llu operations in %llu sequences, %u kept, %u basic blocks reached\n",
		       (unsigned long long)tried_ops, (unsigned long long)tried_sequences, nr_kept,
		       fuzz_kcov_total());
}

static void run_model(u64 seed, u64 nr, u32 seconds)
{
	struct sequence s;
	struct rng r;
	time_t start = time(NULL), told = start;
	bool mutant;

	while (seconds ? time(NULL) - start < seconds : tried_ops < nr) {
		r.state = seed;
		mutant = nr_kept && one_in(&r, 2);
		if (mutant)
			draw_mutant(&r, &s);
		else
			draw_sequence(&r, &s);
		if (run_sequence(&s, mutant ? 0 : seed) && fuzz_kcov_on())
			keep(&r, &s);
		seed++;
		if (time(NULL) - told >= 30) {
			told = time(NULL);
			report();
		}
	}
	report();
}

static void replay(const char *path)
{
	struct sequence s = { 0 };
	FILE *f = fopen(path, "r");
	struct op op;

	TEST_ASSERT(f, "%s: %s", path, strerror(errno));
	while (s.nr < FUZZ_OPS && fscanf(f, " %u:%x", &op.kind, &op.seed) == 2)
		s.op[s.nr++] = op;
	fclose(f);
	TEST_ASSERT(s.nr, "no sequence in %s", path);
	run_sequence(&s, 0);
}

int main(int argc, char **argv)
{
	u64 seed = 1, nr = 8000, threads_ops;
	u32 seconds = 0, threads_seconds = 5;
	const char *again = NULL;
	int opt;

	while ((opt = getopt(argc, argv, "s:n:t:T:r:")) != -1) {
		switch (opt) {
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			nr = strtoull(optarg, NULL, 0);
			break;
		case 't':
			seconds = atoi(optarg);
			break;
		case 'T':
			threads_seconds = atoi(optarg);
			break;
		case 'r':
			again = optarg;
			break;
		default:
			fprintf(stderr, "usage: the beginning of fuzz_test.c says\n");
			return KSFT_FAIL;
		}
	}

	ksft_print_header();
	kvm_msix_require();
	setvbuf(stdout, NULL, _IOLBF, 0);
	atexit(tell_story);
	fuzz_ioctl_init();
	fuzz_kcov_init();
	fuzz_kcov_thread();
	ksft_print_msg("seed %llu%s\n", (unsigned long long)seed,
		       fuzz_kcov_on() ? ", with KCOV" : "");
	ksft_set_plan(1 + (!again && threads_seconds));

	if (again)
		replay(again);
	else
		run_model(seed, nr, seconds);
	ksft_test_result_pass("module and model agree in %llu operations\n",
			      (unsigned long long)tried_ops);
	if (!again && threads_seconds) {
		threads_ops = fuzz_threads(seed, threads_seconds);
		ksft_test_result_pass("%llu operations of many threads\n",
				      (unsigned long long)threads_ops);
	}
	ksft_finished();
}
