"`python -m llm_practice` is the command `llm-practice`."

from llm_practice.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
