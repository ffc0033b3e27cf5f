// SPDX-License-Identifier: Apache-2.0
// Backend of _port for the unix port: fd 0 in, fd 1 out. While text is
// captured fd 1 is a pipe (so child processes are captured too), and the real
// output is only reachable through a duplicate.

#define _GNU_SOURCE // pipe2, F_SETPIPE_SZ
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "port.h"
#include "py/mperrno.h"

#define FLUSH_TIMEOUT_MS 500

static struct {
    bool ready, capture;
    bool stalled;   // nobody read the output when we last waited for that
    bool inside;    // a message has not been written to its end
    int out;        // the real output
    int rd, wr;     // the console pipe
    size_t dropped;
} con = { .out = -1, .rd = -1, .wr = -1 };

ssize_t __real_write(int fd, const void *buf, size_t len);

static void flush_at_exit(void) {
    port_capture(false);
}

static void setup(void) {
    int fds[2];
    if (con.ready) {
        return;
    }
    con.ready = true;
    con.out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0) {
        con.rd = fds[0];
        con.wr = fds[1];
        fcntl(con.wr, F_SETPIPE_SZ, 4096); // small: the text is for reading soon
    }
    atexit(flush_at_exit);
}

static short poll_fd(int fd, short events, int timeout_ms) {
    struct pollfd p = { .fd = fd, .events = events };
    return poll(&p, 1, timeout_ms) > 0 ? p.revents : 0;
}

static mp_uint_t fail(int *err, int code) {
    *err = code == EWOULDBLOCK ? MP_EAGAIN : code;
    return MP_STREAM_ERROR;
}

int port_fileno(port_id_t id) {
    setup();
    return id == PORT_INP ? STDIN_FILENO : id == PORT_OUT ? con.out : con.rd;
}

static ssize_t read_console(uint8_t *buf, size_t len) {
    ssize_t n = read(con.rd, buf, len);
    for (ssize_t i = 0; i < n; i++) {
        buf[i] = port_text(buf[i]);
    }
    return n;
}

mp_uint_t port_read(port_id_t id, void *buf, mp_uint_t len, int *err) {
    int fd = port_fileno(id);
    // fd 0 may be blocking, and it is shared with the parent: ask first.
    if (!poll_fd(fd, POLLIN, 0)) {
        return fail(err, EAGAIN);
    }
    ssize_t n = id == PORT_CONSOLE ? read_console(buf, len) : read(fd, buf, len);
    if (n >= 0) {
        return n;
    }
    // A pty whose other end is closed reads as EIO: that is its end of file.
    return errno == EIO ? 0 : fail(err, errno == EINTR ? EAGAIN : errno);
}

mp_uint_t port_write(const void *buf, mp_uint_t len, int *err) {
    int fd = port_fileno(PORT_OUT);
    if (!poll_fd(fd, POLLOUT, 0)) {
        con.inside = len > 0;
        return fail(err, EAGAIN);
    }
    // A writable pipe has room for this much, so a blocking fd does not block.
    ssize_t n = __real_write(fd, buf, len < PIPE_BUF ? len : PIPE_BUF);
    con.inside = n < 0 || (mp_uint_t)n < len;
    return n >= 0 ? (mp_uint_t)n : fail(err, errno == EINTR ? EAGAIN : errno);
}

mp_uint_t port_poll(port_id_t id, mp_uint_t want) {
    short ev = poll_fd(port_fileno(id), id == PORT_OUT ? POLLOUT : POLLIN, 0);
    return ev ? want : 0; // POLLHUP and POLLERR too: the call then tells
}

// Can the real output take something, now or soon?
static bool can_write(bool wait) {
    int timeout_ms = wait && !con.stalled ? FLUSH_TIMEOUT_MS : 0;
    bool can = poll_fd(con.out, POLLOUT, timeout_ms) & POLLOUT;
    if (can || wait) {
        con.stalled = !can;
    }
    return can;
}

// Returns what was written. A chunk that fits into a writable pipe goes whole.
static size_t write_text(const uint8_t *buf, size_t len, bool wait) {
    uint8_t text[256];
    size_t done = 0;
    while (done < len && can_write(wait)) {
        size_t n = 0;
        for (; n < sizeof(text) && done + n < len; n++) {
            text[n] = port_text(buf[done + n]);
        }
        ssize_t written = __real_write(con.out, text, n);
        if (written <= 0) {
            break;
        }
        done += written;
    }
    return done;
}

// Write what is in the pipe; false: something is left, since nobody reads.
static bool flush_console(bool wait) {
    uint8_t buf[256];
    while (can_write(wait)) {
        ssize_t n = read(con.rd, buf, sizeof(buf));
        if (n <= 0) {
            return true;
        }
        con.dropped += n - write_text(buf, n, true);
    }
    return false;
}

// Text goes out at once, unless that would split a message or has to wait: then
// it is for the stack to send, through the pipe. When that is full it does wait.
// Whoever prints must neither see EAGAIN (print() would raise) nor lose text
// uncounted.
ssize_t __wrap_write(int fd, const void *buf, size_t len) {
    if (!con.capture || fd != STDOUT_FILENO) {
        return __real_write(fd, buf, len);
    }
    size_t done = 0;
    if (!con.inside && flush_console(false)) {
        done = write_text(buf, len, false);
    }
    while (done < len) {
        ssize_t n = __real_write(fd, (const char *)buf + done, len - done);
        if (n > 0) {
            done += n;
        } else if (con.inside || !flush_console(true)) {
            con.dropped += len - done;
            break;
        }
    }
    return len;
}

// Empty the pipe; what cannot be written is dropped.
static void drain_console(void) {
    uint8_t buf[256];
    ssize_t n;
    if (!flush_console(true)) {
        while ((n = read(con.rd, buf, sizeof(buf))) > 0) {
            con.dropped += n;
        }
    }
}

bool port_capture(bool on) {
    setup();
    bool was = con.capture;
    if (on != was && con.rd >= 0 && dup2(on ? con.wr : con.out, STDOUT_FILENO) >= 0) {
        con.capture = on;
        con.inside = false;
        if (!on) {
            drain_console();
        }
    }
    return was;
}

size_t port_dropped(void) {
    return con.dropped;
}

// A terminal sends a signal instead of a Ctrl-C.
size_t port_peek(uint8_t *buf, size_t len, size_t skip) {
    (void)buf;
    (void)len;
    (void)skip;
    return 0;
}

void port_skip(size_t n) {
    (void)n;
}
