"""The user's program: it runs on the device, beside the stack."""

from moat.micro import rt


async def main():
    """Count the seconds."""
    seconds = 0
    while True:
        print(f"main.py runs, {seconds} s")
        await rt.sleep_ms(1000)
        seconds += 1
