/* Bytes that grow at the end and go from the front. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct buffer {
    char *data;
    size_t used, room;
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void append(struct buffer *buffer, const void *data, size_t size)
{
    if (buffer->used + size > buffer->room) {
        buffer->room = (buffer->used + size) * 2;
        buffer->data = realloc(buffer->data, buffer->room);
        if (buffer->data == NULL)
            fail("realloc");
    }
    memcpy(buffer->data + buffer->used, data, size);
    buffer->used += size;
}

static void take(struct buffer *buffer, size_t size)
{
    buffer->used -= size;
    memmove(buffer->data, buffer->data + size, buffer->used);
}
