"""Operations on a project: rebuild, verify, doctor, status, explain, erase."""
