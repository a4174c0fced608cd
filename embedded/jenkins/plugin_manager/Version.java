package io.jenkins.tools.pluginmanager.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The order of versions: numbers by value, a word such as beta before any number. */
final class Version implements Comparable<Version> {
    private static final Pattern PART = Pattern.compile("\\d+|[A-Za-z][A-Za-z0-9_]*");
    private final String text;

    Version(String text) {
        this.text = text;
    }

    boolean olderThan(Version other) {
        return compareTo(other) < 0;
    }

    @Override
    public int compareTo(Version other) {
        List<String> mine = parts(text);
        List<String> theirs = parts(other.text);
        for (int i = 0; i < Math.max(mine.size(), theirs.size()); i++) {
            int order = compare(i < mine.size() ? mine.get(i) : "", i < theirs.size() ? theirs.get(i) : "");
            if (order != 0) {
                return order;
            }
        }
        return 0;
    }

    private static int compare(String one, String other) {
        int kind = Integer.compare(kind(one), kind(other));
        if (kind != 0) {
            return kind;
        }
        if (kind(one) == 2) {
            return new java.math.BigInteger(one).compareTo(new java.math.BigInteger(other));
        }
        return one.compareTo(other);
    }

    /** A word is less than the end of the version, which is less than a number. */
    private static int kind(String part) {
        return part.isEmpty() ? 1 : Character.isDigit(part.charAt(0)) ? 2 : 0;
    }

    private static List<String> parts(String text) {
        List<String> found = new ArrayList<>();
        Matcher matcher = PART.matcher(text);
        while (matcher.find()) {
            found.add(matcher.group());
        }
        return found;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Version && compareTo((Version) other) == 0;
    }

    @Override
    public int hashCode() {
        return parts(text).hashCode();
    }

    @Override
    public String toString() {
        return text;
    }
}
