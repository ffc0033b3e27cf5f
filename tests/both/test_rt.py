"""x."""
from moat.micro import rt

DEVICE_ONLY = ("test_dev",)

async def test_ok():
    print("hi")
    await rt.sleep_ms(1)

async def test_cm():
    @rt.asynccontextmanager
    async def cm():
        await rt.sleep_ms(1)
        yield 5
        await rt.sleep_ms(1)
    async with cm() as x:
        assert x == 5

def test_bad():
    print("printed")
    assert 1 == 2

def test_dev():
    import sys
    print(sys.path)

async def test_hang():
    await rt.Event().wait()

async def test_hang2():
    await rt.sleep_ms(100000)

def test_crash():
    import sys
    if sys.implementation.name == "micropython":
        import machine
        machine.mem32[0] = 5
def test_exit():
    import sys
    sys.exit(3)
