/* A bare relay in C on epoll: what moving the frames alone costs, without a language.
 *
 *     PORT=8080 OPENAI_REALTIME_URL=ws://127.0.0.1:9000/path ./c_epoll
 *
 * One thread. It answers the webhook, takes streams on the same port and dials the
 * model at once. JSON is searched, not parsed; it relays to loopback and to nowhere
 * else. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "c_buffer.h"
#include "c_digest.h"

enum { AT_ONCE = MSG_NOSIGNAL | MSG_DONTWAIT };

enum kind { LISTENER, HTTP, TWILIO, DIALLING, MODEL };

struct side {
    int fd;
    enum kind kind;
    int is_dead;
    struct side *other;
    struct side *next_dead;
    struct buffer in, out;
    char stream_sid[64];
};

static const char UPDATE[] =
    "{\"type\":\"session.update\",\"session\":{\"type\":\"realtime\",\"audio\":{"
    "\"input\":{\"format\":{\"type\":\"audio/pcmu\"}},"
    "\"output\":{\"format\":{\"type\":\"audio/pcmu\"}}}}}";

static int epoll_fd, port, model_port;
static char model_path[256];
static struct side *dead;

/* --- sockets --- */

static void watch(struct side *side, int is_new)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = side};
    if (side->out.used > 0)
        event.events |= EPOLLOUT;
    if (epoll_ctl(epoll_fd, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, side->fd, &event))
        fail("epoll_ctl");
}

static struct side *new_side(int fd, enum kind kind)
{
    struct side *side = calloc(1, sizeof *side);
    int yes = 1;
    if (side == NULL)
        fail("calloc");
    side->fd = fd;
    side->kind = kind;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    watch(side, 1);
    return side;
}

/* Closed at once, freed after the events at hand, which may still name it. */
static void end(struct side *side)
{
    if (side->is_dead)
        return;
    side->is_dead = 1;
    close(side->fd);
    side->next_dead = dead;
    dead = side;
    if (side->other != NULL)
        end(side->other);
}

static void flush(struct side *side)
{
    ssize_t sent = send(side->fd, side->out.data, side->out.used, AT_ONCE);
    if (sent > 0)
        take(&side->out, (size_t)sent);
    else if (sent < 0 && errno != EAGAIN)
        end(side);
    if (!side->is_dead && side->out.used == 0)
        watch(side, 0);
}

static void send_bytes(struct side *side, const char *data, size_t size)
{
    ssize_t sent = 0;
    if (side->is_dead)
        return;
    if (side->out.used == 0) {
        sent = send(side->fd, data, size, AT_ONCE);
        if (sent < 0 && errno != EAGAIN) {
            end(side);
            return;
        }
        sent = sent < 0 ? 0 : sent;
    }
    if ((size_t)sent < size) {
        append(&side->out, data + sent, size - (size_t)sent);
        watch(side, 0);
    }
}

/* One message in three parts; masked when we are the client (section 5.3). */
static void send_message(struct side *side, int opcode, const char *const parts[3],
                         const size_t sizes[3])
{
    static struct buffer made;
    int is_client = side->kind == MODEL;
    size_t size = sizes[0] + sizes[1] + sizes[2];
    uint8_t head[14] = {(uint8_t)(0x80 | opcode)};
    size_t used = 2;
    if (size < 126) {
        head[1] = (uint8_t)size;
    } else if (size < 65536) {
        head[1] = 126, used = 4;
        head[2] = (uint8_t)(size >> 8), head[3] = (uint8_t)size;
    } else {
        head[1] = 127, used = 10;
        for (int at = 0; at < 8; at++)
            head[2 + at] = (uint8_t)((uint64_t)size >> (56 - 8 * at));
    }
    uint8_t mask[4] = {0};
    if (is_client) {
        uint32_t key = (uint32_t)random();
        memcpy(mask, &key, 4);
        memcpy(head + used, mask, 4);
        head[1] |= 0x80, used += 4;
    }
    made.used = 0;
    append(&made, head, used);
    for (int part = 0; part < 3; part++)
        append(&made, parts[part], sizes[part]);
    if (is_client)
        for (size_t at = 0; at < size; at++)
            made.data[used + at] ^= (char)mask[at & 3];
    send_bytes(side, made.data, made.used);
}

/* --- the relay --- */

/* The text of a JSON field; NULL when it is not there. */
static const char *field(const char *data, size_t size, const char *name,
                         size_t *length)
{
    const char *end_of = data + size, *at = memmem(data, size, name, strlen(name));
    if (at == NULL)
        return NULL;
    at += strlen(name);
    at = memchr(at, '"', (size_t)(end_of - at));
    if (at == NULL)
        return NULL;
    at++;
    const char *stop = memchr(at, '"', (size_t)(end_of - at));
    if (stop == NULL)
        return NULL;
    *length = (size_t)(stop - at);
    return at;
}

static void relay(struct side *side, const char *data, size_t size)
{
    size_t length;
    const char *text;
    if (side->kind == TWILIO) {
        if ((text = field(data, size, "\"payload\"", &length)) != NULL) {
            const char *parts[] = {
                "{\"type\":\"input_audio_buffer.append\",\"audio\":\"", text, "\"}"};
            if (side->other != NULL && side->other->kind == MODEL)
                send_message(side->other, 1, parts,
                             (size_t[]){strlen(parts[0]), length, 2});
        } else if ((text = field(data, size, "\"streamSid\"", &length)) != NULL) {
            if (length < sizeof side->stream_sid)
                memcpy(side->stream_sid, text, length);
        }
    } else if (memmem(data, size, "\"response.output_audio.delta\"", 29) != NULL &&
               (text = field(data, size, "\"delta\"", &length)) != NULL) {
        char head[160];
        int used = snprintf(head, sizeof head,
                            "{\"event\":\"media\",\"streamSid\":\"%s\",\"media\":{"
                            "\"payload\":\"",
                            side->other->stream_sid);
        send_message(side->other, 1, (const char *[]){head, text, "\"}}"},
                     (size_t[]){(size_t)used, length, 3});
    }
}

/* Take whole frames out of what came; fragments are not spoken here. */
static void receive_frames(struct side *side)
{
    size_t at = 0;
    while (!side->is_dead && side->in.used - at >= 2) {
        uint8_t *head = (uint8_t *)side->in.data + at;
        size_t left = side->in.used - at, used = 2, size = head[1] & 0x7f;
        int opcode = head[0] & 0x0f, is_masked = head[1] >> 7;
        size_t more = size == 126 ? 2 : size == 127 ? 8 : 0;
        if (left < used + more + (is_masked ? 4 : 0))
            break;
        if (more > 0)
            size = 0;
        for (size_t byte = 0; byte < more; byte++)
            size = size << 8 | head[used++];
        uint8_t *mask = head + used;
        used += is_masked ? 4 : 0;
        if (left < used + size)
            break;
        uint8_t *text = head + used;
        if (is_masked)
            for (size_t byte = 0; byte < size; byte++)
                text[byte] ^= mask[byte & 3];
        if (opcode == 1)
            relay(side, (char *)text, size);
        else if (opcode == 9)
            send_message(side, 10, (const char *[]){(char *)text, "", ""},
                         (size_t[]){size, 0, 0});
        else if (opcode == 8)
            end(side);
        at += used + size;
    }
    take(&side->in, at);
}

static void dial(struct side *twilio)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)model_port)};
    char ask[512];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) {
        perror("the model");
        end(twilio);
        return;
    }
    struct side *model = new_side(fd, DIALLING);
    model->other = twilio;
    twilio->other = model;
    int size = snprintf(ask, sizeof ask,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: a29sYnJpZGdlIGJlbmNoIQ==\r\n\r\n",
                        model_path, model_port);
    send_bytes(model, ask, (size_t)size);
}

static const char *header(const char *head, const char *name)
{
    for (const char *line = head; line != NULL; line = strstr(line, "\r\n")) {
        line += line == head ? 0 : 2;
        if (strncasecmp(line, name, strlen(name)) == 0)
            return line + strlen(name) + strspn(line + strlen(name), " ");
    }
    return NULL;
}

static void receive_http(struct side *side)
{
    char answer[512], body[256], accepted[29];
    append(&side->in, "", 1);
    side->in.used--;
    char *over = strstr(side->in.data, "\r\n\r\n");
    if (over == NULL)
        return;
    over[2] = 0;
    const char *length = header(side->in.data, "content-length:");
    const char *key = header(side->in.data, "sec-websocket-key:");
    size_t size = (size_t)(over + 4 - side->in.data);
    size += length ? (size_t)atol(length) : 0;
    over[2] = '\r';
    if (side->in.used < size)
        return;
    if (key != NULL) {
        accept_of(key, strcspn(key, "\r"), accepted);
        int used = snprintf(answer, sizeof answer,
                            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                            "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                            accepted);
        send_bytes(side, answer, (size_t)used);
        side->kind = TWILIO;
        take(&side->in, size);
        dial(side);
        return;
    }
    int used = snprintf(body, sizeof body,
                        "<Response><Connect><Stream url=\"ws://127.0.0.1:%d/stream\"/>"
                        "</Connect></Response>",
                        port);
    used = snprintf(answer, sizeof answer,
                    "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n"
                    "Content-Length: %d\r\n\r\n%s",
                    used, body);
    send_bytes(side, answer, (size_t)used);
    take(&side->in, size);
}

static void receive_upgrade(struct side *model)
{
    append(&model->in, "", 1);
    model->in.used--;
    char *over = strstr(model->in.data, "\r\n\r\n");
    if (over == NULL)
        return;
    if (strncmp(model->in.data, "HTTP/1.1 101", 12) != 0) {
        end(model);
        return;
    }
    model->kind = MODEL;
    take(&model->in, (size_t)(over + 4 - model->in.data));
    send_message(model, 1, (const char *[]){UPDATE, "", ""},
                 (size_t[]){sizeof UPDATE - 1, 0, 0});
}

static void receive(struct side *side)
{
    static char chunk[65536];
    ssize_t size = recv(side->fd, chunk, sizeof chunk, MSG_DONTWAIT);
    if (size <= 0) {
        if (size == 0 || errno != EAGAIN)
            end(side);
        return;
    }
    append(&side->in, chunk, (size_t)size);
    if (side->kind == HTTP)
        receive_http(side);
    if (!side->is_dead && side->kind == DIALLING)
        receive_upgrade(side);
    if (!side->is_dead && (side->kind == TWILIO || side->kind == MODEL))
        receive_frames(side);
}

static int listening(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 512))
        fail("listen");
    return fd;
}

int main(void)
{
    const char *given = getenv("PORT"), *url = getenv("OPENAI_REALTIME_URL");
    if (given == NULL || url == NULL ||
        sscanf(url, "ws://127.0.0.1:%d%255s", &model_port, model_path) != 2) {
        fputs("expected PORT, OPENAI_REALTIME_URL=ws://127.0.0.1:port/path\n", stderr);
        return 2;
    }
    port = atoi(given);
    epoll_fd = epoll_create1(0);
    struct side *listener = new_side(listening(), LISTENER);
    for (;;) {
        struct epoll_event events[256];
        int count = epoll_wait(epoll_fd, events, 256, -1);
        for (int at = 0; at < count; at++) {
            struct side *side = events[at].data.ptr;
            if (side == listener) {
                int fd = accept(listener->fd, NULL, NULL);
                if (fd >= 0)
                    new_side(fd, HTTP);
                continue;
            }
            if (!side->is_dead && events[at].events & EPOLLOUT)
                flush(side);
            if (!side->is_dead && events[at].events & ~(uint32_t)EPOLLOUT)
                receive(side);
        }
        while (dead != NULL) {
            struct side *side = dead;
            dead = side->next_dead;
            free(side->in.data);
            free(side->out.data);
            free(side);
        }
    }
}
