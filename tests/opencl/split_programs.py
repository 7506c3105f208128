"""Programs that use OpenCL in all ways that a split must not change; they know nothing of gpusplit.

Each prints facts as JSON: run plain and with launches cut, it must print the same.
"""

from __future__ import annotations

START = """
import ctypes, gc, os, signal
facts = {}
def fact(name, value):
    facts[name] = value.tolist() if hasattr(value, "tolist") else value
def buf(array):
    return cl.Buffer(context, flags, hostbuf=array)
def read(queue, buffer, like, **how):
    out = np.empty_like(like)
    cl.enqueue_copy(queue, out, buffer, **how)
    return out
def built(source, name):
    return cl.Kernel(cl.Program(context, source).build(), name)
"""

IDS = (
    START
    + """
SOURCE = '''
kernel void plain(global int *a, int v) {
    size_t i = get_global_id(0) + 64 * (get_global_id(1) + 64 * get_global_id(2));
    a[i] += v + (int)get_global_id(0) * 3 + (int)get_global_id(1) * 5 + (int)get_local_id(0);
}
kernel void asks(global int *a, int v) {
    size_t i = get_global_id(0) + 64 * (get_global_id(1) + 64 * get_global_id(2));
    int x = v;
    for (uint d = 0; d < 3; d++)
        x = x * 31 + get_group_id(d) * 7 + get_num_groups(d) + get_global_size(d) * 3
            + get_global_offset(d) * 11 + get_global_id(d) + get_local_size(d) + get_work_dim();
    a[i] += x;
}
kernel void strides(global int *a, int n) {
    for (int i = get_global_id(0); i < n; i += get_global_size(0))
        a[i] += get_global_size(0);
}
kernel void sums(global int *a, local int *shared) {
    shared[get_local_id(0)] = get_global_id(0);
    barrier(CLK_LOCAL_MEM_FENCE);
    if (get_local_id(0) == 0)
        for (uint i = 0; i < get_local_size(0); i++)
            a[get_group_id(0)] += shared[i];
}
struct pair { float x; char c; };
kernel void takes(global float *a, struct pair p, global float *none) {
    a[get_global_id(0)] = p.x + p.c + (none ? none[0] : 1);
}
'''
program = cl.Program(context, SOURCE).build()
zero = np.zeros(64 * 64 * 8, np.int32)
shapes = [
    ((64,), (8,), None), ((60,), (4,), (4,)), ((48, 30), (8, 2), None), ((48, 30), (8, 2), (16, 2)),
    ((16, 6, 8), (4, 2, 2), (0, 2, 0)), ((64,), None, None), ((61,), None, (3,)),
    ((5,), (5,), None), ((64, 2), (64, 1), (0, 40)),
]
for name in ("plain", "asks"):
    for at, (size, local, offset) in enumerate(shapes):
        a = buf(zero)
        kernel = cl.Kernel(program, name)
        kernel.set_args(a, np.int32(at))
        for _ in range(2):
            cl.enqueue_nd_range_kernel(queue, kernel, size, local, offset)
        # Where the driver chooses the local size it may choose another one each time.
        if local is not None:
            fact(f"{name} {size} {local} {offset}", read(queue, a, zero).sum(dtype=np.int64))
        else:
            fact(f"{name} {size} {local} {offset}", int(np.count_nonzero(read(queue, a, zero)) > 0))
a = buf(zero)
cl.Kernel(program, "strides")(queue, (96,), (8,), a, np.int32(5000))
fact("strides", read(queue, a, zero))
a = buf(zero)
cl.Kernel(program, "sums")(queue, (512,), (16,), a, cl.LocalMemory(64))
fact("sums", read(queue, a, zero)[:40])
kernel = cl.Kernel(program, "sums")
for local in (8, 32):
    a = buf(zero)
    kernel(queue, (256,), (local,), a, cl.LocalMemory(4 * local))
    fact(f"sums of {local}", read(queue, a, zero)[:40])
floats = np.zeros(64, np.float32)
pair = np.zeros((), np.dtype([("x", "f4"), ("c", "i1")], align=True))
pair["x"], pair["c"] = 2.5, 3
one = buf(np.full(4, 9, np.float32))
for last in (None, one):
    a = buf(floats)
    cl.Kernel(program, "takes")(queue, (64,), (8,), a, pair, last)
    fact(f"takes {last is None}", read(queue, a, floats))
say(**facts)
"""
)

EVENTS = (
    START
    + """
kernel = built("kernel void k(global int *a, int v) { size_t i = get_global_id(0);"
               " a[i] = a[i] * 3 + v + get_group_id(0); }", "k")
zero = np.zeros(256, np.int32)
a = buf(zero)
def go(queue, v, wait_for=None, a=a):
    kernel.set_args(a, np.int32(v))
    return cl.enqueue_nd_range_kernel(queue, kernel, (256,), (8,), wait_for=wait_for)
event = go(queue, 1)
fact("type", event.command_type)
fact("queue", event.command_queue == queue)
event.wait()
t = times(event)
fact("times", t["queued"] <= t["submit"] <= t["start"] < t["end"] < t["queued"] + 10**10)
second = go(queue, 2); second.wait()
fact("in order", times(second)["start"] >= t["end"])
fact("status", event.command_execution_status)
plain = cl.CommandQueue(context)
unprofiled = go(plain, 2)
unprofiled.wait()
try:
    unprofiled.profile.start
    fact("times of a queue without", True)
except cl.Error as error:
    fact("times of a queue without", error.code)

# What hangs on the program itself.
user = cl.UserEvent(context)
waiting = go(queue, 3, [user])
after = go(queue, 4)
fact("waits", [waiting.command_execution_status > 0, after.command_execution_status > 0])
queue.flush()
time.sleep(0.05)
fact("waits yet", [waiting.command_execution_status > 1, after.command_execution_status > 1])
user.set_status(COMPLETE)
after.wait()
fact("both", read(queue, a, zero))
user = cl.UserEvent(context)
failing = go(queue, 5, [user])
user.set_status(-7)
try:
    failing.wait()
    fact("fails", 0)
except cl.Error as error:
    fact("fails", error.code)
fact("its status", failing.command_execution_status < 0)

# Two queues, one after the other.
other = cl.CommandQueue(context)
first = go(other, 6)
go(plain, 7, [first])
plain.finish()
fact("across queues", read(plain, a, zero))
loose = cl.CommandQueue(context, properties=OUT_OF_ORDER)
event = None
for v in range(6):
    event = go(loose, v, [event] if event is not None else None)
loose.finish()
fact("a chain out of order", read(loose, a, zero))
marker = cl.enqueue_marker(loose, wait_for=[go(loose, 8, [event])])
marker.wait()
cl.enqueue_barrier(loose)
fact("marker and barrier", read(loose, a, zero, wait_for=[go(loose, 9)]))

# A transfer that does not block comes after all slices.
out = np.empty_like(zero)
go(plain, 10)
copied = cl.enqueue_copy(plain, out, a, is_blocking=False)
copied.wait()
fact("copied after", out)
b = buf(zero)
go(plain, 11)
cl.enqueue_copy(plain, b, a)
cl.enqueue_fill_buffer(plain, a, np.int32(1), 0, 64)
go(plain, 12)
fact("copy of the device", read(plain, b, zero))
fact("filled", read(plain, a, zero))

# What goes wrong is said as ever.
for name, act in {
    "local": lambda: cl.enqueue_nd_range_kernel(queue, kernel, (256,), (7,)),
    "no arguments": lambda: cl.enqueue_nd_range_kernel(
        queue, built("kernel void k(global int *a) { a[get_group_id(0)] = 1; }", "k"), (64,), (8,)),
    "too large": lambda: cl.enqueue_nd_range_kernel(queue, kernel, (1 << 20,), (1 << 20,)),
}.items():
    try:
        act()
        fact(name, 0)
    except (cl.Error, cl.LogicError) as error:
        fact(name, error.code)
done = go(queue, 13)
called = threading.Event()
done.set_callback(COMPLETE, lambda status: called.set())
fact("callback", called.wait(20))
say(**facts)
"""
)

ARGUMENTS = (
    START
    + """
SOURCE = ("kernel void k(global int *a, int v)"
          " { a[get_global_id(0)] += v * 1000 + get_num_groups(0); }")
kernel = built(SOURCE, "k")
zero = np.zeros(128, np.int32)
a, b = buf(zero), buf(zero)
kernel.set_args(a, np.int32(1))
launch = lambda kernel=kernel: cl.enqueue_nd_range_kernel(queue, kernel, (128,), (8,))
launch()
kernel.set_arg(1, np.int32(2))  # the other one stays
launch()
kernel.set_arg(0, b)
launch()
fact("changed", [read(queue, a, zero)[:2].tolist(), read(queue, b, zero)[:2].tolist()])

# Changed, and even gone, as soon as the call is back.
user = cl.UserEvent(context)
for v in range(4):
    kernel.set_args(a, np.int32(v))
    cl.enqueue_nd_range_kernel(queue, kernel, (128,), (8,), wait_for=[user] if v == 0 else None)
kernel.set_args(b, np.int32(50))
user.set_status(COMPLETE)
fact("changed at once", [read(queue, a, zero)[0].tolist(), read(queue, b, zero)[0].tolist()])
for v in range(20):
    c = buf(zero)
    kernel(queue, (128,), (8,), c, np.int32(v))
    if v == 10:
        view = cl.enqueue_map_buffer(queue, c, cl.map_flags.READ, 0, (128,), np.int32,
                                     is_blocking=False)
    c.release()
queue.finish()
fact("released at once", view[0][0].tolist())

# New objects, perhaps at the old ones' addresses.
found = []
for v in range(30):
    again = built(SOURCE.replace("1000", str(1000 + v % 3)), "k")
    d = buf(zero)
    again(queue, (128,), (8,), d, np.int32(v))
    found.append(read(queue, d, zero)[5].tolist())
    del again, d
    gc.collect()
fact("new objects", found)

# Through another object, by a clone, and by nobody.
e = buf(zero)
kernel.set_args(e, np.int32(3))
same = cl.Kernel.from_int_ptr(kernel.int_ptr)
same.set_arg(1, np.int32(4))
launch()
same.set_arg(1, np.int32(5))
launch(same)
try:
    clone = kernel.clone()
    clone.set_arg(1, np.int32(6))
    launch(clone)
except (cl.Error, NotImplementedError):
    launch()
fact("two objects", read(queue, e, zero)[:2])
bad = built(SOURCE, "k")
bad.set_args(e, np.int32(1))
try:
    bad.set_arg(1, np.int64(1))
except cl.Error:
    pass
launch(bad)
fact("a failed argument", read(queue, e, zero)[:2])

# Signal handlers launch the same kernel: with the same arguments, as they may come before a launch.
f = buf(zero)
fired = []
def handler(*_):
    if len(fired) < 5:
        signal.setitimer(signal.ITIMER_REAL, 0.0007)
    fired.append(1)
    kernel(queue, (128,), (8,), f, np.int32(1))
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.001)
for _ in range(60):
    kernel(queue, (128,), (8,), f, np.int32(1))
while len(fired) < 6:
    time.sleep(0.001)
signal.signal(signal.SIGALRM, signal.SIG_IGN)
queue.finish()
fact("beside a handler", read(queue, f, zero).tolist() == [66 * 1016] * 128)
say(**facts)
"""
)

THREADS = (
    START
    + """
zero = np.zeros(512, np.int32)
SOURCE = '''kernel void NAME(global int *a, int v)
    { a[get_global_id(0)] = a[get_global_id(0)] * 3 + v + get_group_id(0); }'''
def work(at, queue, kernel, buffer, results):
    # NAME is of this thread alone; the queue may be everybody's.
    for v in range(40):
        kernel.set_args(buffer, np.int32(v))
        event = cl.enqueue_nd_range_kernel(queue, kernel, (512,), (8,))
        if v % 5 == at % 5:
            event.wait()
        if v % 7 == 0:
            cl.enqueue_copy(queue, buffer, buffer, byte_count=1024, src_offset=0, dst_offset=1024)
        if v % 11 == 0:
            read(queue, buffer, zero)
    results[at] = int(read(queue, buffer, zero).astype(np.int64).sum())

def all_of(queues):
    results, threads = {}, []
    for at in range(4):
        kernel = built(SOURCE.replace("NAME", f"k{at}"), f"k{at}")
        given = (at, queues[at % len(queues)], kernel, buf(zero), results)
        threads.append(threading.Thread(target=work, args=given))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[at] for at in range(4)]

fact("one queue", all_of([cl.CommandQueue(context)]))
fact("a queue each", all_of([cl.CommandQueue(context) for _ in range(4)]))

# A thread blocks in a transfer that another one lets go on, behind more launches.
shared = cl.CommandQueue(context)
user = cl.UserEvent(context)
kernel = built(SOURCE.replace("NAME", "late"), "late")
a, b = buf(zero), buf(zero)
out = []
def wait_and_read():
    out.append(int(read(shared, a, zero, wait_for=[user]).sum()))
reader = threading.Thread(target=wait_and_read)
reader.start()
time.sleep(0.1)
kernel.set_args(b, np.int32(2))
event = cl.enqueue_nd_range_kernel(shared, kernel, (512,), (8,))
user.set_status(COMPLETE)
reader.join(30)
fact("let go on", [reader.is_alive(), out, int(read(shared, b, zero).sum())])
say(**facts)
"""
)

CONTEXTS = (
    START
    + """
# The loader's own functions, by which nothing is hidden.
path = next(line.split()[-1] for line in open("/proc/self/maps") if "libOpenCL" in line)
lib = ctypes.CDLL(path)
for function in (lib.clRetainContext, lib.clReleaseContext):
    function.argtypes = [ctypes.c_void_p]
lib.clGetContextInfo.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_size_t, ctypes.c_void_p,
                                 ctypes.c_void_p]
def references(context):
    n = ctypes.c_uint()
    lib.clGetContextInfo(context, 0x1080, 4, ctypes.byref(n), None)
    return n.value
held = []
for at in range(6):
    own = cl.Context([device])
    q = cl.CommandQueue(own)
    lib.clRetainContext(own.int_ptr)
    held.append(own.int_ptr)
    k = cl.Kernel(cl.Program(own, "kernel void k(global int *o)"
                             "{ o[get_global_id(0)] = get_group_id(0); }").build(), "k")
    o = np.zeros(64, np.int32)
    b = cl.Buffer(own, cl.mem_flags.READ_WRITE, o.nbytes)
    event = k(q, (64,), (8,), b)
    cl.enqueue_copy(q, o, b)
    fact(f"groups {at}", o)
    del own, q, k, b, event
    gc.collect()
fact("contexts that live on", sum(references(one) > 1 for one in held))
say(**facts)
"""
)
