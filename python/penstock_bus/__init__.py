"""The message bus, from Python: a thin layer over libpenstock-bus, so that Python
and C share one connection.

    from penstock_bus import Bus
    bus = Bus()
    print(bus.call_sync("ZoneMgr", "get_zone_count", class_="IN"))

Arguments of calls are keywords; one underscore at their end is taken off, so that
Python's own words can be used. Values are whatever JSON can hold. A connection
belongs to one thread at a time.

Descriptors that are sent stay the caller's; those that are received belong to the
message until Message.take_fd() hands them over.
"""
import ctypes
import json
import os
import select

__all__ = ["Bus", "BusError", "Message", "Request", "Fd"]

NO_RECIPIENT, RECIPIENT_GONE, TIMED_OUT, TOO_MANY_OUTSTANDING, NOT_ALLOWED, NO_ATTACHMENTS, TOO_LARGE = range(-1, -8, -1)
DISCONNECTED, BAD_ANSWER = -100, -101


class BusError(Exception):
    """A call that failed: code (see the constants; positive ones are the service's), text, and data, which may be None."""

    def __init__(self, code, text, data=None):
        super().__init__(f"{text} ({code})")
        self.code, self.text, self.data = code, text, data


class Fd(int):
    """An attachment that is a descriptor: bus.call_sync(..., attachments=[b"blob", Fd(fd)])."""


# ---- The C library -----------------------------------------------------------


class _Attachment(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("fd", ctypes.c_int)]


class _Outgoing(ctypes.Structure):
    _fields_ = [("to", ctypes.c_char_p), ("group", ctypes.c_char_p), ("instance", ctypes.c_char_p), ("body", ctypes.c_char_p),
                ("body_size", ctypes.c_size_t), ("attachments", ctypes.POINTER(_Attachment)), ("attachment_count", ctypes.c_size_t)]


class _Call(ctypes.Structure):
    _fields_ = [("to", ctypes.c_char_p), ("command", ctypes.c_char_p), ("arguments", ctypes.c_char_p), ("timeout_ms", ctypes.c_int),
                ("attachments", ctypes.POINTER(_Attachment)), ("attachment_count", ctypes.c_size_t),
                ("body", ctypes.c_void_p), ("body_size", ctypes.c_size_t)]


class _Result(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("text", ctypes.c_char_p), ("data", ctypes.c_char_p), ("data_size", ctypes.c_size_t),
                ("message", ctypes.c_void_p)]


class _Argument(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("type", ctypes.c_char_p), ("is_optional", ctypes.c_bool), ("help", ctypes.c_char_p)]


_CONTEXT = ctypes.c_void_p
_Fn = ctypes.CFUNCTYPE(None, ctypes.c_void_p, _CONTEXT)
_MessageFn = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, _CONTEXT)
_ResultFn = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(_Result), _CONTEXT)
_ResultsFn = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(ctypes.POINTER(_Result)), ctypes.c_size_t, _CONTEXT)
_MethodFn = ctypes.CFUNCTYPE(None, ctypes.c_void_p, _CONTEXT)


class _Method(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("help", ctypes.c_char_p), ("arguments", ctypes.POINTER(_Argument)), ("run", _MethodFn)]


class _Service(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("help", ctypes.c_char_p), ("methods", ctypes.POINTER(_Method))]


_P, _S, _I, _Z = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_size_t
_FUNCTIONS = {
    "connect": (_I, ctypes.POINTER(_P), _S, ctypes.c_uint), "close": (None, _P), "is_connected": (ctypes.c_bool, _P),
    "lname": (_S, _P), "protocol": (_I, _P), "fd": (_I, _P), "process": (_I, _P), "wait": (_I, _P, _I), "flush": (_I, _P, _I),
    "on_room": (None, _P, _Fn, _CONTEXT), "on_change": (None, _P, _Fn, _CONTEXT), "queued": (_Z, _P),
    "set_queue_limit": (None, _P, _Z), "send": (_I, _P, ctypes.POINTER(_Outgoing)), "notify": (_I, _P, _S, _S),
    "subscribe": (_I, _P, _S, _S, _MessageFn, _CONTEXT), "unsubscribe": (_I, _P, _S, _S), "on_event": (_I, _P, _S, _MessageFn, _CONTEXT),
    "on_message": (None, _P, _MessageFn, _CONTEXT), "message_ref": (_P, _P), "message_unref": (None, _P),
    "message_from": (_S, _P), "message_to": (_S, _P), "message_group": (_S, _P), "message_instance": (_S, _P),
    "message_header": (_P, _P, ctypes.POINTER(_Z)), "message_body": (_P, _P, ctypes.POINTER(_Z)),
    "message_attachment_count": (_Z, _P), "message_attachment": (_I, _P, _Z, ctypes.POINTER(_Attachment)),
    "message_take_fd": (_I, _P, _Z), "call": (_I, _P, ctypes.POINTER(_Call), _ResultFn, _CONTEXT),
    "call_many": (_I, _P, ctypes.POINTER(_Call), _Z, _ResultsFn, _CONTEXT),
    "call_sync": (_I, _P, ctypes.POINTER(_Call), ctypes.POINTER(ctypes.POINTER(_Result))),
    "result_free": (None, ctypes.POINTER(_Result)), "serve": (_I, _P, ctypes.POINTER(_Service), _CONTEXT),
    "request_message": (_P, _P), "request_arguments": (_S, _P),
    "answer": (_I, _P, _I, _S, _S, ctypes.POINTER(_Attachment), _Z),
}


def _load():
    library = ctypes.CDLL(os.environ.get("PENSTOCK_BUS_LIBRARY", "libpenstock-bus.so.1"))
    for name, (result, *arguments) in _FUNCTIONS.items():
        function = getattr(library, "penstock_bus_" + name)
        function.restype, function.argtypes = result, arguments
    return library


_c = _load()


def _check(error):
    if error:
        raise OSError(-error, os.strerror(-error))


def _text(value):
    return None if value is None else value.encode()


def _decode(data):
    return json.loads(data.decode(), strict=False) if data else None


def _attachments(attachments):
    """A C array of them, and what has to live as long as it does."""
    array, kept = (_Attachment * max(len(attachments), 1))(), []
    for place, one in enumerate(attachments):
        if isinstance(one, Fd):
            array[place].fd = one
            continue
        # An empty blob still needs an address: without one it would be a descriptor.
        buffer = ctypes.create_string_buffer(bytes(one), max(len(one), 1))
        kept.append(buffer)
        array[place] = _Attachment(ctypes.cast(buffer, _P), len(one), -1)
    return array, kept


# ---- Messages ------------------------------------------------------------------


class Message:
    """A message that has come."""

    def __init__(self, pointer):
        self._pointer = _c.penstock_bus_message_ref(pointer)

    def __del__(self):
        if self._pointer:
            _c.penstock_bus_message_unref(self._pointer)
            self._pointer = None

    def _bytes(self, function):
        size = _Z()
        pointer = function(self._pointer, ctypes.byref(size))
        return ctypes.string_at(pointer, size.value) if size.value else b""

    @property
    def header(self):
        return _decode(self._bytes(_c.penstock_bus_message_header))

    @property
    def body(self):
        return self._bytes(_c.penstock_bus_message_body)

    @property
    def value(self):
        """The body, as JSON."""
        return _decode(self.body)

    @property
    def sender(self):
        return _c.penstock_bus_message_from(self._pointer).decode()

    @property
    def group(self):
        return _c.penstock_bus_message_group(self._pointer).decode()

    @property
    def attachments(self):
        """Blobs as bytes; descriptors as Fd, which are the message's."""
        found = []
        for place in range(_c.penstock_bus_message_attachment_count(self._pointer)):
            one = _Attachment()
            _check(_c.penstock_bus_message_attachment(self._pointer, place, ctypes.byref(one)))
            found.append(ctypes.string_at(one.data, one.size) if one.data else Fd(one.fd))
        return found

    def take_fd(self, place):
        """The descriptor at that place among the attachments, which is the caller's to close from now on."""
        fd = _c.penstock_bus_message_take_fd(self._pointer, place)
        _check(min(fd, 0))
        return fd


class Request:
    """A call to a service that answers later: request.answer(value) or request.fail(code, text), once."""

    def __init__(self, pointer):
        self._pointer = pointer
        self.message = Message(_c.penstock_bus_request_message(pointer))
        self.arguments = _decode(_c.penstock_bus_request_arguments(pointer))

    def _end(self, code, text, data, attachments):
        if not self._pointer:
            raise ValueError("the request has been answered")
        pointer, self._pointer = self._pointer, None
        array, kept = _attachments(attachments)
        error = _c.penstock_bus_answer(pointer, code, _text(text), None if data is None else json.dumps(data).encode(), array,
                                       len(attachments))
        del kept
        _check(error)

    def answer(self, value=None, attachments=()):
        self._end(0, None, value, attachments)

    def fail(self, code, text, data=None):
        self._end(code, text, data, ())


def _value(result):
    """What a C result stands for: (value, error)."""
    one = result.contents
    data = _decode(one.data)
    return (None, BusError(one.code, one.text.decode(errors="replace"), data)) if one.code else (data, None)


# ---- The connection --------------------------------------------------------------


class Bus:
    """A connection. Bus(path=None, reconnect=False); a context manager.

    An exception that a callback raises comes out of process(), wait() or call_sync().
    """

    def __init__(self, path=None, reconnect=False):
        self._bus, self._kept, self._calls, self._raised, self._names = _P(), {}, {}, None, 0
        _check(_c.penstock_bus_connect(ctypes.byref(self._bus), _text(path), 1 if reconnect else 0))

    def close(self):
        if self._bus:
            bus, self._bus = self._bus, None
            _c.penstock_bus_close(bus)
            self._kept.clear()
            self._calls.clear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        self.close()

    # ---- For C code and loops

    @property
    def pointer(self):
        """The address of the struct penstock_bus, for other C code in this process; the connection stays ours."""
        return self._bus.value

    @property
    def capsule(self):
        """The same as a capsule named "penstock_bus", for extension modules."""
        make = ctypes.pythonapi.PyCapsule_New
        make.restype, make.argtypes = ctypes.py_object, [_P, _S, _P]
        return make(self._bus, b"penstock_bus", None)

    @property
    def lname(self):
        return _c.penstock_bus_lname(self._bus).decode()

    @property
    def is_connected(self):
        return _c.penstock_bus_is_connected(self._bus)

    def fileno(self):
        """For select, poll and asyncio's add_reader(): readable means process()."""
        return _c.penstock_bus_fd(self._bus)

    def process(self):
        error = _c.penstock_bus_process(self._bus)
        self._raise()
        _check(error)

    def wait(self, seconds=None):
        """Blocks until something has come, and processes it. False: nothing came in time."""
        if not select.select([self], [], [], seconds)[0]:
            return False
        self.process()
        return True

    def run(self):
        """Serves until the connection is lost."""
        while True:
            self.wait()

    def flush(self, seconds=5):
        _check(_c.penstock_bus_flush(self._bus, int(seconds * 1000)))

    def _raise(self):
        raised, self._raised = self._raised, None
        if raised:
            raise raised

    def _guarded(self, function, *arguments):
        try:
            return function(*arguments)
        except BaseException as error:  # it cannot pass through C
            self._raised = self._raised or error
            return None

    # ---- Messages

    def send(self, body=b"", group=None, to=None, instance=None, attachments=()):
        """Never blocks; BlockingIOError when the queue is full."""
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        array, kept = _attachments(attachments)
        error = _c.penstock_bus_send(self._bus, ctypes.byref(
            _Outgoing(_text(to), _text(group), _text(instance), body, len(body), array, len(attachments))))
        del kept
        _check(error)

    def notify(self, event, **parameters):
        _check(_c.penstock_bus_notify(self._bus, _text(event), json.dumps(_plain(parameters)).encode()))

    def subscribe(self, group, callback, instance=None):
        """callback(message) for each message to the group."""
        self._register(("group", group, instance or "*"), _MessageFn(lambda _, m, __: self._guarded(callback, Message(m))),
                       lambda fn: _c.penstock_bus_subscribe(self._bus, _text(group), _text(instance), fn, None))

    def unsubscribe(self, group, instance=None):
        _check(_c.penstock_bus_unsubscribe(self._bus, _text(group), _text(instance)))
        self._kept.pop(("group", group, instance or "*"), None)

    def on_event(self, event, callback):
        """callback(**parameters) for each time."""
        def run(message):
            callback(**(message.value or {}))
        self.subscribe("Event/" + event, run)

    def on_message(self, callback):
        """Whatever nobody else takes."""
        fn = self._kept["message"] = _MessageFn(lambda _, m, __: self._guarded(callback, Message(m)))
        _c.penstock_bus_on_message(self._bus, fn, None)

    def on_room(self, callback):
        fn = self._kept["room"] = _Fn(lambda _, __: self._guarded(callback))
        _c.penstock_bus_on_room(self._bus, fn, None)

    def on_change(self, callback):
        """The connection was lost, or made again: is_connected tells."""
        fn = self._kept["change"] = _Fn(lambda _, __: self._guarded(callback))
        _c.penstock_bus_on_change(self._bus, fn, None)

    def _register(self, key, fn, register):
        error = register(fn)
        if not error:
            self._kept[key] = fn
        _check(error)

    # ---- Calls

    def call_sync(self, to, command, *, timeout_=None, attachments_=(), **arguments):
        """The value of the answer; BusError when there is none. timeout_ is in seconds."""
        call, kept = _call(to, command, arguments, timeout_, attachments_)
        result = ctypes.POINTER(_Result)()
        _check(_c.penstock_bus_call_sync(self._bus, ctypes.byref(call), ctypes.byref(result)))
        del kept
        try:
            self._raise()
            value, error = _value(result)
        finally:
            _c.penstock_bus_result_free(result)
        if error:
            raise error
        return value

    def call(self, to, command, callback, *, timeout_=None, attachments_=(), **arguments):
        """callback(value, error) once, from process(): one of the two is None."""
        call, kept = _call(to, command, arguments, timeout_, attachments_)
        name = self._names = self._names + 1

        def ended(_, result, __):
            self._calls[name] = None  # the C function is still running
            self._guarded(callback, *_value(result))

        self._sweep()
        fn = self._calls[name] = _ResultFn(ended)
        error = _c.penstock_bus_call(self._bus, ctypes.byref(call), fn, None)
        del kept
        if error:
            del self._calls[name]
        _check(error)

    def call_many(self, calls, callback):
        """calls are (to, command, {arguments}); callback([(value, error), ...]) once, in their order."""
        made = [_call(to, command, arguments[0] if arguments else {}, None, ()) for to, command, *arguments in calls]
        array = (_Call * len(made))(*(call for call, _ in made))
        name = self._names = self._names + 1

        def ended(_, results, count, __):
            self._calls[name] = None
            self._guarded(callback, [_value(results[i]) for i in range(count)])

        self._sweep()
        fn = self._calls[name] = _ResultsFn(ended)
        error = _c.penstock_bus_call_many(self._bus, array, len(made), fn, None)
        if error:
            del self._calls[name]
        _check(error)

    def _sweep(self):
        for name in [name for name, fn in self._calls.items() if fn is None]:
            del self._calls[name]

    # ---- Services

    def serve(self, name, methods, help=""):
        """Serves a name. methods: {command: function}; a function gets the arguments as keywords and returns the value.

        It raises BusError to fail with a code and text, and returns NotImplemented after keeping `request_`, where it
        takes an argument of that name, to answer later.
        """
        table = (_Method * (len(methods) + 1))()
        kept = [table]
        for place, (command, function) in enumerate(methods.items()):
            arguments, wants_request = _signature(function)
            fn = _MethodFn(lambda request, _, f=function, w=wants_request: self._guarded(_serve_one, request, f, w))
            kept += [arguments, fn]
            table[place] = _Method(_text(command), _text((function.__doc__ or "").strip().split("\n")[0]), arguments, fn)
        service = _Service(_text(name), _text(help), table)
        kept.append(service)
        self._register(("service", name), kept, lambda _: _c.penstock_bus_serve(self._bus, ctypes.byref(service), None))


def _plain(arguments):
    return {name[:-1] if name.endswith("_") else name: value for name, value in arguments.items()}


def _call(to, command, arguments, timeout, attachments):
    array, kept = _attachments(attachments)
    encoded = json.dumps(_plain(arguments)).encode() if arguments else None
    milliseconds = max(1, int(timeout * 1000)) if timeout else 0
    return _Call(_text(to), _text(command), encoded, milliseconds, array, len(attachments)), (array, kept, encoded)


_TYPES = {str: b"string", int: b"integer", float: b"real", bool: b"boolean", list: b"list", dict: b"map"}


def _signature(function):
    """The C table of a function's arguments, from its signature and annotations."""
    import inspect
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name != "request_"]
    wants_request = len(parameters) < len(inspect.signature(function).parameters)
    table = (_Argument * (len(parameters) + 1))()
    for place, p in enumerate(parameters):
        name = p.name[:-1] if p.name.endswith("_") else p.name
        table[place] = _Argument(_text(name), _TYPES.get(p.annotation, b"any"), p.default is not p.empty, b"")
    return table, wants_request


def _serve_one(pointer, function, wants_request):
    import inspect
    request = Request(pointer)
    names = {(n[:-1] if n.endswith("_") else n): n for n in inspect.signature(function).parameters}
    arguments = {names[name]: value for name, value in request.arguments.items()}
    if wants_request:
        arguments["request_"] = request
    try:
        value = function(**arguments)
    except BusError as error:
        request.fail(error.code, error.text, error.data)
    except Exception as error:
        request.fail(1, f"{type(error).__name__}: {error}")
        raise
    else:
        if value is not NotImplemented:
            request.answer(value)
