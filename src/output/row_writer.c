#include "output/row_writer.h"

#include "base/fail.h"

/* As many rows as one append takes; rows that are neighbours in memory are one piece. */
struct stretch {
        struct iovec pieces[OUTPUT_FILE_PIECES_MAX];
        size_t count;
        size_t rows;
};

static uint32_t gather(struct stretch *s, const struct text *rows, const uint32_t *next, uint32_t row, size_t left) {
        struct iovec *last = NULL;
        s->count = s->rows = 0;
        for (; s->rows < left; s->rows++, row = next[row]) {
                if (last && (const char *)last->iov_base + last->iov_len == rows[row].data) {
                        last->iov_len += rows[row].size;
                        continue;
                }
                if (s->count == OUTPUT_FILE_PIECES_MAX)
                        break;
                last = &s->pieces[s->count++];
                *last = (struct iovec){(char *)rows[row].data, rows[row].size};
        }
        return row;
}

/* The append broke off after `size` bytes: how many rows that is, once a row's half is cut off or put aside. */
static size_t settle(struct output_file *file, const struct text *rows, const uint32_t *next, uint32_t row,
                     size_t size) {
        size_t whole = 0;
        while (size && size >= rows[row].size) {
                size -= rows[row].size;
                row = next ? next[row] : row + 1;
                whole++;
        }
        if (size && output_file_mend(file, size, text_slice(rows[row], size, rows[row].size)))
                whole++;
        return whole;
}

/* One stretch. *taken grows by its rows that are the file's now. */
static int write_stretch(struct output_file *file, const struct stretch *s, const struct text *rows,
                         const uint32_t *next, uint32_t first, size_t *taken) {
        size_t size;
        int r = output_file_append(file, s->pieces, s->count, &size);
        if (LIKELY(r == 0)) {
                *taken += s->rows;
                return 0;
        }
        *taken += settle(file, rows, next, first, size);
        return pass(r);
}

int row_writer_append(struct output_file *file, const struct text *rows, const uint32_t *next, uint32_t first,
                      size_t count, size_t *taken) {
        struct stretch s;
        *taken = 0;
        if (count == 0)
                return 0;
        if (!next) {
                const struct text *last = &rows[first + count - 1];
                s.pieces[0].iov_base = (char *)rows[first].data;
                s.pieces[0].iov_len = (size_t)(last->data + last->size - rows[first].data);
                s.count = 1;
                s.rows = count;
                return write_stretch(file, &s, rows, next, first, taken);
        }
        for (uint32_t row = first; *taken < count;) {
                uint32_t begin = row;
                row = gather(&s, rows, next, row, count - *taken);
                int r = write_stretch(file, &s, rows, next, begin, taken);
                if (r)
                        return pass(r);
        }
        return 0;
}
