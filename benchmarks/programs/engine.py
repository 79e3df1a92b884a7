"""The worker that trains with kdflow, in the process that `kdflow` would be."""

from measuring.worker import serve

from kdflow.common import process

if __name__ == "__main__":
    process.prepare()
    # Only now torch, which reads what `prepare` settled.
    from measuring.fitting import rounds

    serve(rounds)
